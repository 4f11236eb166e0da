/**
 * The daemon: connects layers and drivers and serves the API until it is told to end. Its end, however sudden, touches
 * no machine, no gateway and no edge: the next start finds them and goes on.
 */
import { asStrataError, forkQuickly, instanceFromEnvironment, openLog } from '#base';

const log = openLog('daemon');
/** What waits for a guest or a program is given up then: a kill at any moment does no harm, so haste does none either. */
const endLimitMs = 1500;

/** What nobody caught leaves work half done; operations and controllers go on where they were after a restart. */
function crash(thrown: unknown): never {
  log.fatal({ error: asStrataError(thrown, 'unexpected').message, stack: thrown instanceof Error ? thrown.stack : undefined }, 'the daemon ends because of an error it did not expect');
  process.exit(1);
}
process.on('unhandledRejection', crash);
process.on('uncaughtException', crash);

const usualPoolSize = 2;
/** Whatever is no small number leaves it as usual. */
function poolSizeOf(text: string | undefined): number {
  return text !== undefined && /^\d{1,2}$/.test(text) ? Number(text) : usualPoolSize;
}

async function serve(): Promise<void> {
  try {
    await forkQuickly(instanceFromEnvironment(process.env), log);
    // Loaded now, since the process that we were a moment ago had no use for it.
    const { openDaemon } = await import('./open-daemon.ts');
    const daemon = await openDaemon(instanceFromEnvironment(process.env), log, { poolSize: poolSizeOf(process.env['STRATA_POOL']) });
    const end = (signal: string): void => {
      log.info({ signal }, 'the daemon ends; machines go on');
      setTimeout(() => {
        log.info({ limitMs: endLimitMs }, 'the daemon ends in the middle of what it was doing; the next one completes it');
        process.exit(0);
      }, endLimitMs).unref();
      daemon.close().then(() => process.exit(0), crash);
    };
    process.once('SIGTERM', end);
    process.once('SIGINT', end);
  } catch (thrown) {
    const error = asStrataError(thrown, 'the daemon cannot start');
    log.fatal({ code: error.code, advice: error.advice, cause: error.cause instanceof Error ? error.cause.message : undefined }, error.message);
    process.exitCode = 1;
  }
}

// `--warm` only loads the code, which leaves it in the compile cache.
if (process.argv[2] === '--warm') await import('./open-daemon.ts');
else await serve();
