/** Every program that is called comes from a package in the list of the pool, or from every Debian. */
import { hostPackages } from '#pool';
import { sourcesOf, type Guard } from '../project.ts';

/** Of packages that are essential or required in Debian. */
const ofEveryDebian = new Set(['sh', 'sleep', 'printf', 'env', 'cat', 'tar', 'dpkg', 'dpkg-deb', 'dpkg-query', 'apt-get', 'apt-cache', 'apt-config', 'flock', 'mkfifo', 'script', 'mount', 'umount', 'unshare', 'chrt', 'setpriv', 'nsenter', 'ldd', 'true', 'npm', 'git']);
/** Asked only whether it is there, or a name that must not exist. */
const notNeeded = new Set(['systemctl', 'no-such-program-here', 'docker', 'docker-compose', 'ls']);

export const programs: Guard = {
  name: 'every program that is called comes from a package that is installed',
  find(project) {
    const listed = new Set(hostPackages.flatMap((one) => one.programs));
    const offences: string[] = [];
    let seen = 0;
    for (const [file, text] of sourcesOf(project)) {
      if (file.startsWith('guest/agent/') && !file.endsWith('.test.ts') || file.startsWith('tests/architecture/')) continue;
      for (const [, path] of text.matchAll(/\b(?:runProcess|spawn|spawnSync|execFile|execFileSync)\(\[?'([\w./-]+)'/g)) {
        seen += 1;
        const name = (path as string).split('/').at(-1) as string;
        if (!listed.has(name) && !ofEveryDebian.has(name) && !notNeeded.has(name)) offences.push(`${file} calls ${name}, which no package of src/pool/host-packages.ts brings`);
      }
    }
    return { seen, offences };
  },
  planted: { 'src/machines/planted-program.ts': '/** Calls. */\nawait runProcess([\'frobnicate\', \'-x\']);\n' },
};
