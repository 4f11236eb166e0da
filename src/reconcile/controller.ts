/**
 * The contract between a layer's controller and the driver that runs it.
 *
 * A controller says how to bring one key (a machine's id, an app's id) to what is wished. It is called
 * with nothing but the key: a watch event, a timer and a start of the daemon all lead to the same call
 * (`wake without news`). It never retries inside: it throws, and the driver calls it again with back-off.
 */
export interface Controller {
  /** For logs and status: 'machines'. */
  readonly name: string;
  /** Store prefixes whose changes wake this controller, and which of its keys a changed key concerns. */
  readonly watches: readonly { readonly prefix: string; keysOf(changedKey: string, value: unknown): readonly string[] | Promise<readonly string[]> }[];
  /** All keys, for the first round and the periodic full round. */
  allKeys(): Promise<readonly string[]>;
  /** Brings one key to what is wished. Never called twice at once for one key. */
  reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult>;
}

export interface ReconcileResult {
  /** Look again after this many milliseconds even if nothing changes. */
  readonly againAfterMs?: number;
  /** Why nothing more was done now, for people: data, not a log line. */
  readonly waitingOn?: readonly { readonly kind: string; readonly subject: string; readonly why: string }[];
}
