/** What is removed behind an unplugged disk, with a QEMU that is late to let go of it. */
import { deepEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { StrataError } from '#base';
import { fileNodeName, nodeName } from './drives.ts';
import { removeNode } from './plugged-disks.ts';
import type { Monitor } from './qmp/open-monitor.ts';

const refusal = (words: string): StrataError => new StrataError(`QEMU refuses blockdev-del: ${words}`, { code: 'qmp.refused', kind: 'refused' });

/** Answers of `blockdev-del`, one after the other: a refusal, or nothing where it is done. */
function monitorOf(answers: (StrataError | undefined)[]): { readonly monitor: Monitor; readonly asked: string[] } {
  const asked: string[] = [];
  const monitor: Monitor = {
    connection: () => Promise.reject(new Error('nobody asks for it')),
    close: () => undefined,
    async execute(command) {
      asked.push(command);
      if (command === 'query-named-block-nodes') return [{ 'node-name': nodeName('data') }, { 'node-name': fileNodeName(nodeName('data')), file: '/dev/fdset/1000' }];
      const refused = command === 'blockdev-del' ? answers.shift() : undefined;
      if (refused !== undefined) throw refused;
      return undefined;
    },
  };
  return { monitor, asked };
}

test('[Q20] a node that its device still holds is asked for again, then its descriptor goes', async () => {
  const busy = refusal(`Node ${nodeName('data')} is in use`);
  const { monitor, asked } = monitorOf([busy, busy, undefined]);
  await removeNode(monitor, 'data');
  deepEqual(asked, ['query-named-block-nodes', 'blockdev-del', 'blockdev-del', 'blockdev-del', 'remove-fd']);
});

test('[Q20] any other refusal is told at once', async () => {
  const { monitor, asked } = monitorOf([refusal('Node not found')]);
  await rejects(removeNode(monitor, 'data'), { code: 'qmp.refused' });
  deepEqual(asked, ['query-named-block-nodes', 'blockdev-del']);
});
