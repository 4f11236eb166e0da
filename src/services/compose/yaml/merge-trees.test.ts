/** One tree over another. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { Report } from '../report.ts';
import { mergeTrees, settleTags } from './merge-trees.ts';
import { readYaml } from './read-yaml.ts';
import { plain, type TreeNode } from './tree.ts';

const tree = (text: string): TreeNode => readYaml(Buffer.from(text), { path: 'f', baseDir: '/' }, new Report())[0] as TreeNode;
const merged = (...texts: string[]): unknown => plain(settleTags(texts.map(tree).reduce((base, over) => mergeTrees(base, over))));
/** What the service `web` is after merging. */
const web = (...texts: string[]): unknown => (merged(...texts.map((text) => `services:\n  web:\n    ${text}`)) as { services: { web: unknown } }).services.web;

const cases: readonly (readonly [string, readonly string[], unknown])[] = [
  ['single values are replaced', ['{image: a, user: "1"}', '{image: b}'], { image: 'b', user: '1' }],
  ['mappings are merged', ['deploy: {replicas: 1, resources: {limits: {cpus: 1}}}', 'deploy: {resources: {limits: {memory: 1g}}}'], { deploy: { replicas: 1, resources: { limits: { cpus: 1, memory: '1g' } } } }],
  ['commands are replaced', ['{command: [a, b], entrypoint: x}', '{command: [c], entrypoint: [y]}'], { command: ['c'], entrypoint: ['y'] }],
  ['a health check\'s test is replaced, its times stay', ['healthcheck: {test: [CMD, a], interval: 1s}', 'healthcheck: {test: [CMD, b]}'], { healthcheck: { test: ['CMD', 'b'], interval: '1s' } }],
  ['environment is a mapping in either form', ['environment: [A=1, B=2, C]', 'environment: {B: 3, D: 4}'], { environment: { A: '1', B: 3, C: null, D: 4 } }],
  ['labels too', ['labels: {a: 1}', 'labels: [a=2, b=3]'], { labels: { a: '2', b: '3' } }],
  ['lists are appended', ['{dns: [1.1.1.1], external_links: [a]}', '{dns: 9.9.9.9, external_links: [b]}'], { dns: ['1.1.1.1', '9.9.9.9'], external_links: ['a', 'b'] }],
  ['capabilities stand once', ['cap_add: [A, B]', 'cap_add: [B, C]'], { cap_add: ['A', 'B', 'C'] }],
  ['ports are one by address, both ports and protocol', ['ports: ["8080:80", "127.0.0.1:81:81"]', 'ports: [{target: 80, published: "8080", app_protocol: http}, "8081:80"]'], { ports: [{ target: 80, published: '8080', app_protocol: 'http' }, '127.0.0.1:81:81', '8081:80'] }],
  ['volumes are one by their target', ['volumes: ["a:/a", "b:/b"]', 'volumes: ["c:/a:ro", {type: tmpfs, target: /t}]'], { volumes: ['c:/a:ro', 'b:/b', { type: 'tmpfs', target: '/t' }] }],
  ['configs and secrets are one by target or source', ['{configs: [a, {source: b, target: /b}], secrets: [s]}', '{configs: [{source: c, target: /b}], secrets: [{source: s, mode: 0400}]}'], { configs: ['a', { source: 'c', target: '/b' }], secrets: [{ source: 's', mode: 256 }] }],
  ['depends_on is a mapping in either form', ['depends_on: [a]', 'depends_on: {a: {condition: service_healthy}, b: {condition: service_started}}'], { depends_on: { a: { condition: 'service_healthy' }, b: { condition: 'service_started' } } }],
  ['networks too', ['networks: [a]', 'networks: {a: {aliases: [x]}}'], { networks: { a: { aliases: ['x'] } } }],
  ['a build of one text has a context', ['build: .', 'build: {target: x}'], { build: { context: '.', target: 'x' } }],
  ['options of another logging driver are not its', ['logging: {driver: a, options: {x: 1}}', 'logging: {driver: b, options: {y: 2}}'], { logging: { driver: 'b', options: { y: 2 } } }],
  ['options of the same logging driver are merged', ['logging: {driver: a, options: {x: 1}}', 'logging: {driver: a, options: {y: 2}}'], { logging: { driver: 'a', options: { x: 1, y: 2 } } }],
  ['extra_hosts of both forms are appended', ['extra_hosts: {a: 1.1.1.1}', 'extra_hosts: ["b=2.2.2.2"]'], { extra_hosts: ['a=1.1.1.1', 'b=2.2.2.2'] }],
  ['health asks one thing', ['x-strata: {health: {tcp: {port: 1}}, engine: qemu}', 'x-strata: {health: {http: {port: 2}}}'], { 'x-strata': { health: { http: { port: 2 } }, engine: 'qemu' } }],
  ['an empty mapping over a full one leaves it', ['environment: {A: 1}', 'environment:'], { environment: { A: 1 } }],
];

describe('merging', () => {
  for (const [what, texts, expected] of cases) test(`[C5] ${what}`, () => assert.deepEqual(web(...texts), expected));

  test('[C5] services, volumes and names of both are there', () => {
    assert.deepEqual(merged('name: a\nservices: {a: {image: x}}\nvolumes: {v: }', 'name: b\nservices: {b: {image: y}}\nvolumes: {v: {labels: {a: b}}}'), { name: 'b', services: { a: { image: 'x' }, b: { image: 'y' } }, volumes: { v: { labels: { a: 'b' } } } });
  });

  test('[C6] !reset takes away, !override replaces', () => {
    const base = '{image: a, ports: ["80:80"], environment: {A: 1, B: 2}, labels: {x: y}}';
    assert.deepEqual(web(base, '{ports: !reset [], environment: {A: !reset null}}'), { image: 'a', environment: { B: 2 }, labels: { x: 'y' } });
    assert.deepEqual(web(base, 'ports: !override ["81:81"]'), { image: 'a', ports: ['81:81'], environment: { A: 1, B: 2 }, labels: { x: 'y' } });
    assert.deepEqual(web(base, 'environment: !override {C: 3}'), { image: 'a', ports: ['80:80'], environment: { C: 3 }, labels: { x: 'y' } });
    assert.deepEqual(web('{image: a, user: !reset "1"}'), { image: 'a' });
  });

  test('[C5] merging is associative', () => {
    const name = fc.constantFrom('A', 'B', 'C');
    const environment = fc.oneof(fc.dictionary(name, fc.integer({ min: 0, max: 3 }), { maxKeys: 3 }), fc.uniqueArray(fc.tuple(name, fc.integer({ min: 0, max: 3 })), { selector: ([key]) => key, maxLength: 3 }).map((pairs) => pairs.map(([key, value]) => `${key}=${value}`)));
    const service = fc.record({
      image: name, environment, command: fc.array(name, { maxLength: 2 }), cap_add: fc.uniqueArray(name), dns: fc.oneof(name, fc.array(name, { maxLength: 2 })),
      volumes: fc.array(fc.tuple(name, name).map(([source, target]) => `${source}:/${target}`), { maxLength: 3 }), ports: fc.array(fc.constantFrom('80', '80:80', '81:80'), { maxLength: 3 }),
      depends_on: fc.oneof(fc.uniqueArray(name), fc.dictionary(name, fc.record({ required: fc.boolean() }))), deploy: fc.record({ replicas: fc.nat(3), mode: name }, { requiredKeys: [] }),
    }, { requiredKeys: [] });
    const document = fc.record({ services: fc.dictionary(fc.constantFrom('web', 'db'), service, { minKeys: 1 }) }).map((value) => tree(stringify(value)));
    fc.assert(fc.property(document, document, document, (a, b, c) => {
      assert.deepEqual(plain(mergeTrees(mergeTrees(a, b), c)), plain(mergeTrees(a, mergeTrees(b, c))));
    }), { numRuns: 500 });
  });

  test('[C5] a file over itself changes no mapping and no list whose entries stand once', () => {
    const text = 'services: {web: {image: a, environment: {A: 1}, ports: ["80:80"], volumes: ["a:/a"], cap_add: [X], depends_on: {db: {condition: service_started}}}, db: {image: b}}';
    assert.deepEqual(merged(text, text), merged(text));
  });
});
