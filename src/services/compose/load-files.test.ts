/** Which files make a project: found, overridden, extended, included, filled with variables. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { composeLab } from './testing/compose-lab.ts';

const image = (name: string): string => `services: {web: {image: "${name}"}}\n`;
const imageOf = async (lab: ReturnType<typeof composeLab>, request = {}): Promise<unknown> => {
  const { image: found } = await lab.service('web', request);
  return found.kind === 'reference' ? found.reference : found;
};

describe('files of a project', () => {
  test('[C1] compose.yaml is taken before its kin, and that is said', async () => {
    using lab = composeLab({ 'compose.yaml': image('a'), 'compose.yml': image('b'), 'docker-compose.yml': image('c') });
    assert.equal(await imageOf(lab), 'a');
    assert.match((await lab.warnings())[0] ?? '', /^compose\.yaml:1:1 compose\.severalFiles is taken, and not .*compose\.yml/);
    using older = composeLab({ 'docker-compose.yml': image('c'), 'docker-compose.yaml': image('d') });
    assert.equal(await imageOf(older), 'c');
  });

  test('[C1] the override file is laid over it, but not where files are named', async () => {
    using lab = composeLab({ 'compose.yaml': image('a'), 'compose.override.yaml': image('b') });
    assert.equal(await imageOf(lab), 'b');
    assert.deepEqual((await lab.read()).app.files, [join(lab.folder, 'compose.yaml'), join(lab.folder, 'compose.override.yaml')]);
    assert.equal(await imageOf(lab, { files: [join(lab.folder, 'compose.yaml')] }), 'a');
  });

  test('[C1] folders above are looked into', async () => {
    using lab = composeLab({ 'compose.yaml': image('a') });
    mkdirSync(join(lab.folder, 'deep/er'), { recursive: true });
    const { app } = await lab.read({ workingDir: join(lab.folder, 'deep/er') });
    assert.equal(app.workingDir, lab.folder);
  });

  test('[C1] no file, a missing file and an empty file are errors', async () => {
    using lab = composeLab({ 'empty.yaml': '# nothing\n' });
    assert.match((await lab.errors())[0] ?? '', /^compose\.noFile there is no Compose file in \./);
    assert.match((await lab.errors({ files: [join(lab.folder, 'none.yaml')] }))[0] ?? '', /^none\.yaml:1:1 compose\.fileMissing/);
    assert.match((await lab.errors({ files: [lab.folder] }))[0] ?? '', /compose\.fileMissing .* it is a folder/);
    assert.match((await lab.errors({ files: ['/dev/zero'] }))[0] ?? '', /compose\.fileMissing .* it is no regular file/);
    assert.match((await lab.errors({ files: [join(lab.folder, 'empty.yaml')] }))[0] ?? '', /compose\.noServices/);
  });

  test('[C1] COMPOSE_FILE, COMPOSE_PROFILES and COMPOSE_PROJECT_NAME count, also in .env', async () => {
    using lab = composeLab({ 'a.yaml': image('a'), 'b.yaml': 'services: {web: {image: b, profiles: [p]}, other: {image: o}}', 'compose.yaml': image('c') });
    assert.equal(await imageOf(lab, { env: { COMPOSE_FILE: 'a.yaml' } }), 'a');
    assert.equal(await imageOf(lab, { env: { COMPOSE_FILE: 'a.yaml;b.yaml', COMPOSE_PATH_SEPARATOR: ';', COMPOSE_PROFILES: 'p' } }), 'b');
    using dotenv = composeLab({ 'a.yaml': 'services: {web: {image: "x:${COMPOSE_PROJECT_NAME}", profiles: [p]}}', 'compose.yaml': image('c'), '.env': 'COMPOSE_FILE=a.yaml\nCOMPOSE_PROFILES=p\nCOMPOSE_PROJECT_NAME=shop\n' });
    assert.equal(await imageOf(dotenv), 'x:shop');
    assert.equal((await dotenv.read({ env: { COMPOSE_PROJECT_NAME: 'other' } })).app.name, 'other');
    assert.equal((await dotenv.read({ projectName: 'mine' })).app.name, 'mine');
  });

  test('[C1] variables come from the environment, then from .env or the files named instead', async () => {
    using lab = composeLab({ 'compose.yaml': 'services: {web: {image: "${A}-${B:-none}"}}', '.env': 'A=1\nB=2\n', 'other.env': 'A=3\n', 'last.env': 'A=4\nB=${A}5\n' });
    assert.equal(await imageOf(lab), '1-2');
    assert.equal(await imageOf(lab, { env: { A: '9' } }), '9-2');
    assert.equal(await imageOf(lab, { envFiles: [join(lab.folder, 'other.env')] }), '3-none');
    assert.equal(await imageOf(lab, { envFiles: [join(lab.folder, 'other.env'), join(lab.folder, 'last.env')] }), '4-45');
    assert.equal(await imageOf(lab, { env: { COMPOSE_ENV_FILES: 'other.env,last.env' } }), '4-45');
    assert.match((await lab.errors({ envFiles: [join(lab.folder, 'none.env')] }))[0] ?? '', /^none\.env:1:1 compose\.fileMissing/);
  });

  test('[C5] several files and several documents are one project, with paths from its folder', async () => {
    using lab = composeLab({ 'compose.yaml': `${image('a')}---\nservices: {web: {user: "5"}}\n`, 'sub/over.yaml': 'services: {web: {image: b, env_file: v.env}}\n', 'v.env': 'V=root\n', 'sub/v.env': 'V=sub\n' });
    const web = await lab.service('web', { files: [join(lab.folder, 'compose.yaml'), join(lab.folder, 'sub/over.yaml')] });
    assert.deepEqual([web.image, web.user, web.environment], [{ kind: 'reference', reference: 'b', pullPolicy: 'missing' }, '5', { V: 'root' }]);
  });

  test('[C7] extends takes over a service of this file or another, with its own folder', async () => {
    using lab = composeLab({
      'compose.yaml': 'services:\n  web:\n    extends: {service: base, file: lib/base.yaml}\n    environment: {B: web}\n  more: {extends: web, command: [x]}\n',
      'lib/base.yaml': 'services:\n  base: {extends: deepest, environment: {A: base, B: base}, env_file: v.env}\n  deepest: {image: "deep:1", labels: [a=b], command: [y]}\n', 'lib/v.env': 'V=lib\n',
    });
    const more = await lab.service('more');
    assert.deepEqual([more.image, more.environment, more.labels, more.command], [{ kind: 'reference', reference: 'deep:1', pullPolicy: 'missing' }, { A: 'base', B: 'web', V: 'lib' }, { a: 'b' }, ['x']]);
    assert.deepEqual((await lab.read()).app.files.map((file) => file.slice(lab.folder.length + 1)), ['compose.yaml', 'lib/base.yaml']);
  });

  test('[C7] extending nobody, or each other, is an error at its place', async () => {
    using lab = composeLab({ 'compose.yaml': 'services:\n  a: {image: x, extends: b}\n  b: {extends: {service: a}}\n  c: {image: x, extends: {service: z, file: more.yaml}}\n  d: {image: x, extends: {service: z, file: none.yaml}}\n  e: {image: x, extends: q}\n', 'more.yaml': image('m') });
    assert.deepEqual((await lab.errors()).map((one) => one.replace(/ cannot be read.*/, '')), [
      'compose.yaml:2:26 compose.cycle services extend each other: b → a → b', 'compose.yaml:3:26 compose.cycle services extend each other: a → b → a',
      'compose.yaml:4:45 compose.unknownService service c extends z, which more.yaml does not have', 'compose.yaml:5:45 compose.fileMissing ./none.yaml', 'compose.yaml:6:26 compose.unknownService service e extends q, which this file does not have',
    ]);
  });

  test('[C8] include takes in a project with its folder and variables', async () => {
    using lab = composeLab({
      'compose.yaml': 'include:\n  - lib/compose.yaml\n  - {path: [other.yaml, other-over.yaml], env_file: other.env}\nservices: {web: {image: w, depends_on: [db]}}\n', '.env': 'OWN=1\n',
      'lib/compose.yaml': 'services: {db: {image: "db:${TAG}-${OWN}", volumes: ["d:/d"], env_file: v.env}}\nvolumes: {d: }\n', 'lib/.env': 'TAG=7\nOWN=2\n', 'lib/v.env': 'V=lib\n',
      'other.yaml': 'services: {o: {image: "o:${X}"}}', 'other-over.yaml': 'services: {o: {user: "3"}}', 'other.env': 'X=8\n',
    });
    const { app } = await lab.read();
    assert.deepEqual(app.services.map((one) => [one.name, one.image.reference]), [['db', 'db:7-1'], ['o', 'o:8'], ['web', 'w']]);
    assert.deepEqual([(await lab.service('db')).environment, (await lab.service('o')).user, app.volumes.map((one) => one.name)], [{ V: 'lib' }, '3', ['d']]);
  });

  test('[C8] what both projects name is an error, unless it is the same; files that include each other too', async () => {
    using lab = composeLab({ 'compose.yaml': 'include: [a.yaml]\nservices:\n  web: {image: w}\nvolumes: {v: }\n', 'a.yaml': 'services:\n  web: {image: other}\nvolumes: {v: }\n' });
    assert.deepEqual(await lab.errors(), ['compose.yaml:3:3 compose.includeConflict services.web is defined here and in the included ./a.yaml:2']);
    using cycle = composeLab({ 'compose.yaml': 'include: [a.yaml]\nservices: {w: {image: w}}\n', 'a.yaml': 'include:\n  - compose.yaml\n' });
    assert.deepEqual(await cycle.errors(), ['a.yaml:2:5 compose.cycle files include each other: compose.yaml → a.yaml → compose.yaml']);
  });

  test('[C8] an override file may change what was included', async () => {
    using lab = composeLab({ 'compose.yaml': 'include: [a.yaml]\n', 'compose.override.yaml': 'services: {web: {user: "2"}}', 'a.yaml': image('w') });
    assert.equal((await lab.service('web')).user, '2');
  });

  test('[C9] profiles: off ones are left out with what is wrong in them at run time, named services bring theirs', async () => {
    using lab = composeLab('services:\n  web: {image: w, depends_on: [db]}\n  db: {image: d}\n  debug: {image: x, profiles: [debug], depends_on: [db], devices: [/dev/fuse]}\n  tool: {image: t, profiles: [tools]}\n');
    const names = async (request = {}): Promise<string[]> => (await lab.read(request)).app.services.map((one) => one.name);
    assert.deepEqual(await names(), ['db', 'web']);
    assert.deepEqual(await names({ profiles: ['tools'] }), ['db', 'tool', 'web']);
    assert.deepEqual(await names({ services: ['web'] }), ['db', 'web']);
    assert.deepEqual(await names({ services: ['db'] }), ['db']);
    assert.deepEqual(await names({ services: ['tool'] }), ['tool']);
    assert.match((await lab.errors({ profiles: ['*'] }))[0] ?? '', /^compose\.yaml:4:58 compose\.refused services\.debug\.devices/);
    await assert.rejects(lab.read({ services: ['wbe'] }), { code: 'compose.unknownService', advice: 'did you mean web?' });
  });

  test('[C9] depending on a service whose profile is off is an error, unless it is not required', async () => {
    using lab = composeLab('services:\n  web: {image: w, depends_on: [debug]}\n  debug: {image: x, profiles: [debug]}\n');
    assert.deepEqual(await lab.errors(), ['compose.yaml:2:32 compose.profileOff service web depends on debug, whose profile is not active']);
    assert.equal((await lab.read({ profiles: ['debug'] })).app.services.length, 2);
    using optional = composeLab('services:\n  web: {image: w, depends_on: {debug: {condition: service_started, required: false}, none: {condition: service_started, required: false}}}\n  debug: {image: x, profiles: [debug]}\n');
    assert.deepEqual((await optional.service('web')).dependsOn, []);
    using off = composeLab('services: {debug: {image: x, profiles: [debug]}}');
    assert.match((await off.errors())[0] ?? '', /compose\.noServices every service belongs to a profile/);
  });

  test('[C2] projects that are too much are refused, soon', async () => {
    const start = performance.now();
    const big = 'x'.repeat(900_000);
    using texts = composeLab({ 'compose.yaml': `services:\n  web:\n    image: a\n    labels: {${Array.from({ length: 2000 }, (_, index) => `l${index}: $BIG`).join(', ')}}\n`, '.env': `BIG=${big}\n` });
    assert.match((await texts.errors())[0] ?? '', /compose\.tooLarge the variables of the project/);
    using services = composeLab(`services: {${Array.from({ length: 300 }, (_, index) => `s${index}: {image: a}`).join(', ')}}`);
    assert.deepEqual(await services.errors(), ['compose.yaml:1:1 compose.tooLarge the file has 300 services; at most 256 are read']);
    using chain = composeLab(`services: {${Array.from({ length: 60 }, (_, index) => `s${index}: {image: a, extends: s${index + 1}}`).join(', ')}, s60: {image: a}}`);
    assert.match((await chain.errors())[0] ?? '', /compose\.tooDeep services extend each other over more than 32 steps/);
    using many = composeLab({ 'compose.yaml': `include: [${Array.from({ length: 70 }, (_, index) => `f${index}.yaml`).join(', ')}]\nservices: {web: {image: a}}`, ...Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`f${index}.yaml`, 'volumes: {}'])) });
    assert.match((await many.errors())[0] ?? '', /compose\.tooLarge the project is made of more than 64 files/);
    assert.ok(performance.now() - start < 8000, 'it takes too long');
  });

  test('[C16] the app\'s name: asked for, in the environment, in the file, of the folder', async () => {
    using lab = composeLab({ 'My Shop_1/compose.yaml': image('a'), 'named/compose.yaml': `name: "\${N:-my_shop}"\n${image('x:${COMPOSE_PROJECT_NAME}')}`, 'wrong/compose.yaml': `name: My Shop\n${image('a')}`, '!!/compose.yaml': image('a') });
    const inFolder = (name: string): { workingDir: string } => ({ workingDir: join(lab.folder, name) });
    assert.equal((await lab.read(inFolder('My Shop_1'))).app.name, 'myshop-1');
    assert.equal((await lab.read(inFolder('named'))).app.name, 'my-shop');
    assert.equal(await imageOf(lab, inFolder('named')), 'x:my-shop');
    assert.match((await lab.warnings(inFolder('named')))[0] ?? '', /^named\/compose\.yaml:1:7 compose\.nameChanged/);
    assert.equal((await lab.read({ ...inFolder('named'), env: { N: 'other' } })).app.name, 'other');
    assert.match((await lab.errors(inFolder('wrong')))[0] ?? '', /^wrong\/compose\.yaml:1:7 compose\.badName "My Shop" cannot be/);
    await assert.rejects(lab.read(inFolder('!!')), { code: 'compose.badName' });
    await assert.rejects(lab.read({ ...inFolder('named'), projectName: '-x' }), { code: 'compose.badName' });
  });
});
