/** Another's closed FORWARD chain, in a network namespace of its own so that no firewall of this host is touched. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProcess } from '#base';

const program = `
  import { openHostNetwork } from '${fileURLToPath(new URL('./index.ts', import.meta.url))}';
  import { silentLog, runProcess } from '#base';
  import assert from 'node:assert/strict';
  const folder = process.argv[2];
  const network = openHostNetwork({ instance: { name: 'fw', stateDir: folder, runDir: folder, cacheDir: folder, subnet: 77 }, log: silentLog });
  const list = async () => (await runProcess(['nft', 'list', 'table', 'ip', 'filter'])).stdout;
  const count = async () => (await list()).split('strata_fw').length - 1;
  await runProcess(['nft', '-f', folder + '/docker.nft']);
  const before = await list();
  await network.ensure();
  await network.apply({ endpoints: [], virtualAddresses: [] });
  assert.match(await list(), /chain DOCKER-USER \\{\\s+oifname "fw-t\\*" accept comment "strata_fw"\\s+iifname "fw-t\\*" accept comment "strata_fw"\\s+counter/);
  await runProcess(['nft', '-f', folder + '/docker.nft']);
  assert.equal(await count(), 0);
  await network.apply({ endpoints: [], virtualAddresses: [] });
  assert.equal(await count(), 2);
  await network.erase();
  assert.equal(await list(), before);
  console.log('fine');`;

test('[N14] Docker\'s closed chain lets our taps through, again after Docker made it anew, and erase leaves it as it was', async () => {
  const folder = await mkdtemp('/tmp/netfw-');
  const script = fileURLToPath(new URL(`./netfw-${process.pid}.ts`, import.meta.url));
  try {
    await writeFile(`${folder}/docker.nft`, 'table ip filter\ndelete table ip filter\ntable ip filter {\n chain DOCKER-USER {\n counter return\n }\n chain FORWARD {\n type filter hook forward priority 0; policy drop;\n jump DOCKER-USER\n }\n}\n');
    await writeFile(script, program);
    const { stdout } = await runProcess(['unshare', '--net', process.execPath, script, folder]);
    assert.equal(stdout.trim(), 'fine');
  } finally {
    await rm(script, { force: true });
    await rm(folder, { recursive: true });
  }
});
