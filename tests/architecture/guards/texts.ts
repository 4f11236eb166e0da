/** What no file may hold: paths of somebody's machine, hosts of registries, secrets. */
import { type Guard } from '../project.ts';

const forbidden: readonly [RegExp, string][] = [
  [/(?<![\w.-])\/(home|Users)\/[a-z]\w*\//, 'a path of somebody\'s machine'],
  [/(?<![\w.-])\/work\/(main|shared)\b/, 'a path of somebody\'s machine'],
  [/https?:\/\/[\w.-]*(registry\.npmjs|registry\.yarnpkg|artifactory|jfrog|codeartifact)[\w.-]*/, 'the host of a package registry'],
  [/-----BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY-----/, 'a private key'],
  [/\b(npm_[A-Za-z0-9]{36}|gh[pous]_[A-Za-z0-9]{36})\b/, 'a token'],
];

/** These files hold the patterns themselves. */
const itself = ['tests/architecture/guards/texts.ts'];

export const texts: Guard = {
  name: 'no path of a machine, no registry, no secret stands in a file',
  find(project) {
    const files = [...project].filter(([file]) => !itself.includes(file));
    const offences = files.flatMap(([file, text]) => forbidden.flatMap(([pattern, what]) => {
      const match = pattern.exec(text);
      return match === null ? [] : [`${file} holds ${what}: ${match[0]}`];
    }));
    return { seen: files.length, offences };
  },
  planted: {
    'docs/planted.md': 'Look into /home/somebody/strata/ for it.',
    '.npmrc': 'registry=https://artifactory.example.com/',
    'examples/planted.pem': '-----BEGIN PRIVATE KEY-----',
  },
};
