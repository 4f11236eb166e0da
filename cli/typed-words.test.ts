/** What is typed, as it is read before anything is asked for, and what is offered to be typed. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { namesOf } from './clear-host.ts';
import { verbs } from './command-tree.ts';
import { commandLineDocs } from './command-line-docs.ts';
import { parseDisk } from './parse-disk.ts';
import { readOptions, type Option } from './verb.ts';

/** Verbs that print nothing of the API's for a program to read, and why. */
const withoutJson: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['start', 'stop', 'restart', 'pause', 'suspend', 'resume', 'rm'].map((word) => [`machine ${word}`, 'print nothing: the exit code says whether the machines are as wished'])),
  exec: 'what runs there prints', 'machine exec': 'what runs there prints', 'machine console': 'what runs there prints', 'machine logs': 'what the console printed, as it is',
  metrics: 'in the format of Prometheus', events: 'JSON by itself', serve: 'is the daemon', completion: 'a script',
};

test('[L3] each verb that prints what the API answers has -o json', () => {
  for (const verb of verbs) {
    const has = verb.options?.some((option) => option.flags.startsWith('-o, --output ') && option.choices?.includes('json') === true) === true;
    ok(has !== verb.name in withoutJson, `${verb.name}: ${has ? 'has -o json and an exception' : 'has no -o json'}`);
  }
});

test('[L7] the engine of the tests is offered to nobody', () => {
  for (const verb of verbs) for (const option of verb.options ?? []) ok(option.choices?.includes('fake') !== true, `${verb.name} ${option.flags}`);
  ok(!commandLineDocs().includes('fake'));
});

test('[L16] of many machines that run the first are named, and how many more there are', () => {
  const named = (count: number) => namesOf(Array.from({ length: count }, (_, at) => ({ name: `m${at}` })));
  equal(named(2), 'm0, m1');
  match(named(8), /m7$/);
  match(named(9), /m7 and 1 more$/);
});

test('[L4] a wish for a disk gives each thing once', () => {
  deepEqual(parseDisk('data,size=100', '/'), { name: 'data', sizeMiB: 100 });
  deepEqual(parseDisk('data,from=a=b.raw,backend=vmm', '/x'), { name: 'data', from: '/x/a=b.raw', backend: 'vmm' });
  for (const twice of ['data,size=1G,size=1G', 'data,size=1G,backend=vmm,backend=vmm']) throws(() => parseDisk(twice, '/'), /twice/);
});

test('[L4] each option that wants a number is declared to, so that it is checked before its verb asks for anything', () => {
  for (const verb of verbs) {
    for (const option of verb.options ?? []) {
      // `logs --tail` takes `all` too, and changes nothing.
      const wants = /<(seconds|number|revision|lines)>/.test(option.flags) && !option.flags.includes('--tail');
      ok(option.whole === true || !wants, `${verb.name} ${option.flags}`);
    }
  }
  const timeout: Option = { flags: '--timeout <seconds>', summary: '', whole: true };
  equal(readOptions({ timeout: '12' }, [timeout]).count('timeout'), 12);
  for (const bad of ['', '-1', '1.5', 'abc', '9999999999']) throws(() => readOptions({ timeout: bad }, [timeout]), /--timeout wants a whole number/);
  throws(() => readOptions({ timeout: '12' }, []).count('timeout'), /not declared/);
});
