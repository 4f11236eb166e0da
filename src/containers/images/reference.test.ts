/** References, read as Docker reads them. */
import { equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { normalReference } from './reference.ts';

const digest = `sha256:${'a'.repeat(64)}`;

test('[I10] references are normalised as Docker does', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['nginx', 'docker.io/library/nginx:latest'], ['nginx:1', 'docker.io/library/nginx:1'], ['team/app', 'docker.io/team/app:latest'], ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/team/app:2', 'docker.io/team/app:2'], ['localhost/app', 'localhost/app:latest'], ['localhost:5000/app', 'localhost:5000/app:latest'], ['127.0.0.1:5000/a/b/c:x', '127.0.0.1:5000/a/b/c:x'],
    ['ghcr.io/a/b', 'ghcr.io/a/b:latest'], ['[::1]:5000/a', '[::1]:5000/a:latest'], [`nginx@${digest}`, `docker.io/library/nginx@${digest}`], [`nginx:1@${digest}`, `docker.io/library/nginx:1@${digest}`], ['a__b/c--d.e', 'docker.io/a__b/c--d.e:latest'],
  ];
  for (const [text, normal] of cases) {
    equal(normalReference(text), normal);
    equal(normalReference(normal), normal, 'normal once is normal for ever');
  }
});

test('[I10] what is no reference is refused', () => {
  for (const text of ['', ' ', 'Nginx', 'a/B', 'a:', 'a:b:c', 'a@sha256:12', 'a@md5:00', '../a', 'a/../b', 'a//b', '/a', 'a/', 'http://x/a', 'a b', `${'a'.repeat(300)}`, 'x:99999/a:1 ', 'host.io:70000/a', 'ü', 'a\n', '-a', 'a'.repeat(64)]) {
    throws(() => normalReference(text), { code: 'image.badReference' }, JSON.stringify(text));
  }
});
