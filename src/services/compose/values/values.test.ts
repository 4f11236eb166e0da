/** Small texts with a grammar of their own: sizes, durations, words, ports, mounts, names. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nearestName } from './nearest-name.ts';
import { parseBoolean } from './parse-boolean.ts';
import { parseBytes } from './parse-bytes.ts';
import { parseDuration } from './parse-duration.ts';
import { parseMount } from './parse-mount.ts';
import { parsePortMapping } from './parse-port.ts';
import { splitWords } from './split-words.ts';

function table<T>(parse: (text: string) => T, rows: Readonly<Record<string, T>>): void {
  for (const [text, expected] of Object.entries(rows)) assert.deepEqual(parse(text), expected, JSON.stringify(text));
}

describe('values', () => {
  test('[C12] sizes are Docker\'s', () => {
    table(parseBytes, { '0': 0, '512': 512, '512b': 512, '1k': 1024, '1K': 1024, '1kb': 1024, '2KiB': 2048, '1.5m': 1_572_864, '128M': 134_217_728, '1g': 2 ** 30, '1 gb': 2 ** 30, '1t': 2 ** 40,
      '': undefined, 'm': undefined, '-1': undefined, '1x': undefined, '1mm': undefined, '0x10': undefined, '1e3': undefined, '9999999999t': undefined });
    assert.equal(parseBytes(1.5), undefined);
    assert.equal(parseBytes(-1), undefined);
  });

  test('[C12] durations are Go\'s, with days and weeks', () => {
    table(parseDuration, { '0': 0, '1s': 1000, '1m30s': 90_000, '1.5h': 5_400_000, '500ms': 500, '.5s': 500, '1us': 0, '2000us': 2, '1h2m3s4ms': 3_723_004, '1d': 86_400_000, '1w': 604_800_000,
      '': undefined, '1': undefined, 's': undefined, '1 s': undefined, '-1s': undefined, '1s1': undefined, '1x': undefined, '99999999w': undefined });
  });

  test('[C12] booleans may be text', () => table(parseBoolean, { true: true, True: true, yes: true, on: true, '1': true, false: false, no: false, off: false, '0': false, maybe: undefined, '': undefined }));

  test('[C12] a command line is cut into words as Docker Compose cuts it', () => {
    table((text) => { const split = splitWords(text); return 'words' in split ? split.words : null; }, {
      '': [], '  ': [], 'a': ['a'], ' a  b\t c ': ['a', 'b', 'c'], '"a b" c': ['a b', 'c'], "'a b'": ['a b'], 'a"b c"d': ['ab cd'], '""': [''], "a ''": ['a', ''], 'a\\ b': ['a b'], '"a\\"b"': ['a"b'], "'a\\b'": ['a\\b'], '"a\\b"': ['a\\b'],
      'sh -c "a && b | c > d"': ['sh', '-c', 'a && b | c > d'], "echo '$X'": ['echo', '$X'],
      'a && b': null, 'a | b': null, 'a > b': null, 'a; b': null, 'a `b`': null, '"a': null, "'a": null, 'a\\': null,
    });
    fc.assert(fc.property(fc.array(fc.string({ unit: fc.constantFrom('a', ' ', '$', '"', '|') })), (words) => {
      assert.deepEqual(splitWords(words.map((word) => `'${word}'`).join(' ')), { words });
    }));
  });

  test('[C12] port mappings', () => {
    const range = (first: number, last = first): { first: number; last: number } => ({ first, last });
    const mapping = (target: ReturnType<typeof range>, published?: ReturnType<typeof range>, hostAddress?: string, protocol = 'tcp'): object => ({ hostAddress, published, target, protocol });
    table(parsePortMapping as (text: string) => unknown, {
      '80': mapping(range(80)), '8080:80': mapping(range(80), range(8080)), '3000-3005': mapping(range(3000, 3005)), '3000-3005:4000-4005': mapping(range(4000, 4005), range(3000, 3005)), '8000-9000:80': mapping(range(80), range(8000, 9000)),
      '127.0.0.1:8080:80': mapping(range(80), range(8080), '127.0.0.1'), '127.0.0.1::80': mapping(range(80), undefined, '127.0.0.1'), '[::1]:8080:80': mapping(range(80), range(8080), '::1'), '127.0.0.1:5000-5010:5000-5010/udp': mapping(range(5000, 5010), range(5000, 5010), '127.0.0.1', 'udp'),
      '6060:6060/udp': mapping(range(6060), range(6060), undefined, 'udp'), ':80': mapping(range(80)),
      '': undefined, 'a': undefined, '80:': undefined, '0': undefined, '65536': undefined, '80/': undefined, '80/tcp/udp': undefined, '1.2.3:80:80': undefined, '1:2:3:4': undefined, '90-80': undefined, '999.1.1.1:80:80': undefined, '8080: 80': undefined,
    });
  });

  test('[C12] mounts in short form', () => {
    table(parseMount as (text: string) => unknown, {
      'data:/d': { source: 'data', target: '/d', kind: 'volume', options: [] }, 'data:/d:ro': { source: 'data', target: '/d', kind: 'volume', options: ['ro'] }, './a:/b:ro,z': { source: './a', target: '/b', kind: 'bind', options: ['ro', 'z'] },
      '/a:/b': { source: '/a', target: '/b', kind: 'bind', options: [] }, '~/a:/b': { source: '~/a', target: '/b', kind: 'bind', options: [] }, '/d': { source: undefined, target: '/d', kind: 'volume', options: [] },
      '': undefined, ':': undefined, 'a:': undefined, ':/b': undefined, 'a:/b:ro:x': undefined,
    });
  });

  test('[C10] the nearest name is what a mistyped one likely meant', () => {
    const names = ['image', 'ports', 'environment', 'depends_on', 'restart', 'volumes'];
    table((text) => nearestName(text, names), { imagee: 'image', port: 'ports', 'depends-on': 'depends_on', enviroment: 'environment', retsart: 'restart', Image: 'image', zzzzzz: undefined, x: undefined });
  });
});
