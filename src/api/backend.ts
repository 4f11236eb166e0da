/**
 * What the API needs from the layers below, in the contract's words. The daemon's program implements it;
 * the API itself decides nothing.
 *
 * Every function may throw StrataError; its kind becomes the status, its code, advice, place and details
 * become the problem. `details.diagnostics` (objects with file, line, column, message and advice) become
 * diagnostics. Codes with a status of their own: `api.preconditionFailed` 412, `store.compacted` 410.
 * A handle is a name or an id, as the user gave it.
 */
import type { Readable, Writable } from 'node:stream';
import type {
  App, AppAction, AppPut, AppResolve, BackendLog, ConsoleLine, Container, DiskBackend, DiskClone, DoctorItem, Engine, Event, ExecRequest, Host, Image, ImageImport, ImagePull,
  LogLine, Machine, MachineClone, MachineCreate, Operation, PooledMachines, Readiness, ResolvedApp, Snapshot, SnapshotCreate, TerminalSize, Version, Volume,
} from '#contract';

/** Condition on a change: the revision the caller saw (If-Match). @see preconditionFailed */
export interface ChangeOptions { readonly ifMatch?: number }

/** Both ends of an exec or console stream, on the server's side. */
export interface TerminalSession {
  /** Bytes for stdin; ends when the client has no more. */
  readonly input: Readable;
  readonly output: Writable;
  readonly errors: Writable;
  /** Called with the latest size (also one that came earlier) and each later one. */
  onResize(listener: (size: TerminalSize) => void): void;
  /** 'SIGTERM'. */
  onSignal(listener: (signal: string) => void): void;
  /** Aborted when the client is gone; end what was begun. */
  readonly gone: AbortSignal;
}

export interface LogQuery {
  /** Empty: all. */
  readonly services: readonly string[];
  /** Last lines of each container; undefined: all that is kept. */
  readonly tail: number | undefined;
  /** Milliseconds since 1970. */
  readonly sinceMs: number | undefined;
  readonly follow: boolean;
}

/**
 * Streams: the promise settles when the stream is established, so that what is wrong becomes a status;
 * the iterable ends by itself, or soon after the signal is aborted.
 */
export interface Backend {
  version(): Promise<Version>;
  readiness(): Promise<Readiness>;
  doctor(): Promise<readonly DoctorItem[]>;
  /** Changes after the revision; undefined: from now. @throws StrataError `store.compacted` */
  events(since: number | undefined, signal: AbortSignal): Promise<AsyncIterable<Event>>;
  readonly hosts: {
    list(): Promise<readonly Host[]>;
    get(handle: string): Promise<Host>;
  };
  readonly engines: {
    list(): Promise<readonly Engine[]>;
    get(name: string): Promise<Engine>;
  };
  readonly machines: {
    list(): Promise<readonly Machine[]>;
    /** What stands ready for starts. */
    pool(): Promise<readonly PooledMachines[]>;
    get(handle: string): Promise<Machine>;
    /** Writes the wish and returns at once; the phase tells how it goes. So do all that change a machine. */
    create(wish: MachineCreate): Promise<Machine>;
    remove(handle: string, options: ChangeOptions & { readonly force: boolean }): Promise<Machine>;
    start(handle: string, options: ChangeOptions): Promise<Machine>;
    stop(handle: string, options: ChangeOptions & { readonly force: boolean }): Promise<Machine>;
    restart(handle: string, options: ChangeOptions & { readonly force: boolean }): Promise<Machine>;
    pause(handle: string, options: ChangeOptions): Promise<Machine>;
    suspend(handle: string, options: ChangeOptions): Promise<Machine>;
    /** @throws `machine.suspendedLost` where what is kept of it cannot be used */
    resume(handle: string, options: ChangeOptions): Promise<Machine>;
    snapshots(handle: string): Promise<readonly Snapshot[]>;
    takeSnapshot(handle: string, wish: SnapshotCreate): Promise<Operation>;
    restoreSnapshot(handle: string, snapshot: string): Promise<Operation>;
    /** Returns what was removed. */
    removeSnapshot(handle: string, snapshot: string): Promise<Snapshot>;
    clone(handle: string, wish: MachineClone): Promise<Operation>;
    fork(handle: string, name: string): Promise<Operation>;
    logs(handle: string, query: { readonly follow: boolean; readonly tail: number | undefined }, signal: AbortSignal): Promise<AsyncIterable<ConsoleLine>>;
    /** Resolves with the program's exit code. @throws `exec.commandNotFound` (CLI 127), `exec.notExecutable` and `exec.noWorkingFolder` (CLI 126) */
    exec(handle: string, request: ExecRequest, session: TerminalSession): Promise<number>;
    /** Runs until the client leaves or the machine ends. */
    console(handle: string, session: TerminalSession): Promise<void>;
  };
  /** Of a machine, by its name or id and the disk's name. */
  readonly disks: {
    grow(machine: string, disk: string, bytes: number): Promise<Machine>;
    copy(machine: string, disk: string, wish: { readonly path: string; readonly snapshot?: string | undefined }): Promise<Operation>;
    snapshots(machine: string, disk: string): Promise<readonly Snapshot[]>;
    takeSnapshot(machine: string, disk: string, name: string | undefined): Promise<Operation>;
    restoreSnapshot(machine: string, disk: string, snapshot: string): Promise<Operation>;
    removeSnapshot(machine: string, disk: string, snapshot: string): Promise<Operation>;
    clone(machine: string, disk: string, wish: DiskClone): Promise<Operation>;
  };
  readonly backends: {
    list(): Promise<readonly DiskBackend[]>;
    get(handle: string): Promise<DiskBackend>;
    /** What happened to it last, oldest first. */
    log(handle: string): Promise<BackendLog['items']>;
    /** @throws `backend.needsMachine` where its machine has to be restarted with it, unless forced */
    restart(handle: string, options: { readonly force: boolean }): Promise<DiskBackend>;
  };
  readonly images: {
    list(): Promise<readonly Image[]>;
    import(request: ImageImport): Promise<Operation>;
    pull(request: ImagePull): Promise<Operation>;
    /** Returns what was removed. */
    remove(reference: string): Promise<readonly Image[]>;
  };
  readonly apps: {
    list(): Promise<readonly App[]>;
    get(name: string): Promise<App>;
    resolve(request: AppResolve): Promise<ResolvedApp>;
    up(name: string, request: AppPut): Promise<Operation>;
    down(name: string, options: { readonly volumes: boolean; readonly timeoutSeconds: number | undefined }): Promise<Operation>;
    start(name: string, action: AppAction): Promise<Operation>;
    stop(name: string, action: AppAction): Promise<Operation>;
    restart(name: string, action: AppAction): Promise<Operation>;
    containers(name: string): Promise<readonly Container[]>;
    logs(name: string, query: LogQuery, signal: AbortSignal): Promise<AsyncIterable<LogLine>>;
  };
  readonly containers: {
    list(): Promise<readonly Container[]>;
    get(handle: string): Promise<Container>;
    /** As machines.exec. */
    exec(handle: string, request: ExecRequest, session: TerminalSession): Promise<number>;
  };
  readonly volumes: { list(): Promise<readonly Volume[]> };
  readonly operations: {
    /** The newest first. */
    list(query: { readonly subject: string | undefined; readonly limit: number | undefined }): Promise<readonly Operation[]>;
    get(id: string): Promise<Operation>;
    /** The operation now and after each change; ends after it has ended. */
    follow(id: string, signal: AbortSignal): Promise<AsyncIterable<Operation>>;
    cancel(id: string): Promise<Operation>;
  };
}
