/** The table of what engines cannot do, and what each says of itself: the same. */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog, StrataError } from '#base';
import { engineAbilities, reasonAgainst, type EngineAbility } from '#contract';
import type { Engine, EngineCapabilities } from '#machines';
import { openFakeEngine } from '#machines/fake';
import { openQemuEngine } from '#machines/qemu';
import { openUmlEngine } from '#machines/uml';

const instance = { name: 'table', stateDir: '/nonexistent/s', runDir: '/nonexistent/r', cacheDir: '/nonexistent/c', subnet: 200 };
const guestOs = () => Promise.reject(new StrataError('nothing is started here', { code: 'test.none', kind: 'internal' }));
const engines: readonly Engine[] = [openQemuEngine({ instance, log: silentLog, guestOs }), openUmlEngine({ instance, log: silentLog, guestOs }), openFakeEngine()];

/** What an engine says of itself, where it does. */
const said: Partial<Record<EngineAbility, (one: EngineCapabilities) => boolean>> = {
  pause: (one) => one.pause, suspend: (one) => one.suspend, snapshot: (one) => one.snapshot, restore: (one) => one.snapshot, clone: (one) => one.snapshot, fork: (one) => one.snapshot,
  plugDisks: (one) => one.hotplugDisks, severalProcessors: (one) => one.maxProcessors > 1,
};

for (const engine of engines) {
  test(`[A13] what ${engine.name} is said to be able to do is what it can, and what it cannot has a reason`, async () => {
    const capabilities = await engine.capabilities();
    for (const ability of engineAbilities) {
      const reason = reasonAgainst(engine.name, ability);
      const can = said[ability]?.(capabilities);
      if (can !== undefined) equal(reason === undefined, can, ability);
      ok(reason === undefined || reason.length > 20, ability);
    }
    equal(engine.copies !== undefined, capabilities.snapshot);
    if (engine.name === 'uml') equal(capabilities.ownDisks, false);
  });
}
