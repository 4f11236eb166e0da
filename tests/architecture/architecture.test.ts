/**
 * The guards of the architecture. Each says how much it looked at and must refuse every offence planted for
 * it, because a guard that looks at nothing is green.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { exceptions } from '../../tools/layers.ts';
import { circles } from './guards/circles.ts';
import { documents } from './guards/documents.ts';
import { form } from './guards/form.ts';
import { functions } from './guards/functions.ts';
import { layers } from './guards/layers.ts';
import { programs } from './guards/programs.ts';
import { purity } from './guards/purity.ts';
import { rules } from './guards/rules.ts';
import { sharedHost } from './guards/shared-host.ts';
import { texts } from './guards/texts.ts';
import { readProject, withPlanted } from './project.ts';

const project = readProject();

for (const guard of [layers, circles, purity, rules, form, functions, programs, texts, documents, sharedHost]) {
  test(guard.name, () => {
    const { seen, offences } = guard.find(project);
    ok(seen > 10, `it looked at ${seen} only`);
    deepEqual(offences, []);
  });

  test(`refused: the opposite of '${guard.name}'`, () => {
    const before = new Set(guard.find(project).offences);
    for (const [file, text] of Object.entries(guard.planted)) {
      const news = guard.find(withPlanted(project, { [file]: text })).offences.filter((one) => !before.has(one));
      ok(news.length > 0, `${file} was not noticed`);
    }
  });
}

test('the list of exceptions is short, and each is one', () => {
  ok(exceptions.length <= 5);
  for (const { from, to, why } of exceptions) ok(project.get(from)?.includes(`'${to}'`) === true && why.length > 20, `${from} → ${to}`);
});

test('the guards look at the whole project', () => {
  for (const folder of ['src', 'contract', 'client', 'cli', 'guest', 'tools', 'tests']) ok([...project.keys()].some((file) => file.startsWith(`${folder}/`)), folder);
  equal(project.has('package-lock.json'), false);
});
