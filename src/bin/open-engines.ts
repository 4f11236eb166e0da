/** The engines of this host and the guest OS they boot: what of an earlier daemon no machine needs is swept at the start. */
import { asStrataError, type Architecture, type Clock, type Instance, type Log } from '#base';
import { builtGuestOs, ensureGuestOs, openMachinePool, pruneGuestOs, type Engine } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { openUmlEngine } from '#machines/uml';
import type { HostNetwork } from '#pool';
import type { GuestOsBuilds } from './connect-layers.ts';

interface EnginesDeps {
  readonly instance: Instance;
  readonly network: HostNetwork;
  readonly clock: Clock;
  readonly log: Log;
  /** Paused machines kept ready, of each shape; 0: none. */
  readonly poolSize: number;
}

/** Of the guest OS, for each engine. */
const flavours = { qemu: 'machine', uml: 'uml' } as const;

/** @param closing what is let go of when the daemon ends; machines go on */
export async function openEngines({ instance, network, clock, log, poolSize }: EnginesDeps, closing: AsyncDisposableStack): Promise<{ readonly engines: readonly Engine[]; readonly guestOs: GuestOsBuilds }> {
  const pruned = pruneGuestOs(instance, clock.now()).then(
    (removed) => { if (removed.length > 0) log.info({ removed }, 'old builds of the guest OS were removed from the cache'); },
    (thrown: unknown) => log.warn({ error: asStrataError(thrown, 'pruning').message }, 'old builds of the guest OS could not be removed'),
  );
  closing.defer(() => pruned);
  const pool = poolSize === 0 ? {} : { pool: openMachinePool({ clock, log, perShape: poolSize }) };
  const guestOsOf = (engine: keyof typeof flavours) => (architecture: Architecture) => ensureGuestOs(architecture, { instance, flavour: flavours[engine] });
  const qemu = openQemuEngine({ instance, log, clock, guestOs: guestOsOf('qemu'), network, templates: {}, ...pool });
  closing.defer(() => qemu.close());
  const uml = openUmlEngine({ instance, log, clock, guestOs: guestOsOf('uml'), network, ...pool });
  closing.defer(() => uml.close());
  await Promise.all([qemu.sweep(), uml.sweep()]);
  return {
    engines: [qemu, uml],
    guestOs: {
      built: async (engine, architecture) => (await builtGuestOs(architecture, { instance, flavour: flavours[engine] }))?.version,
      async ensure(engine, architecture, progress) { await ensureGuestOs(architecture, { instance, flavour: flavours[engine], progress }); },
    },
  };
}
