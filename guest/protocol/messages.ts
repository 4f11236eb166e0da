/**
 * What host and guest agent say to each other, as types shared by both sides.
 *
 * Plain JSON in frames (frames.ts). Units stand in the names. The host treats every byte that comes from
 * a guest as hostile: it checks shape and size of each message before use (src/machines/agent).
 */

export const protocolVersion = 1;

/** How a container is to run inside the guest. Everything the agent needs to start it again by itself. */
export interface GuestContainerSpec {
  readonly id: string;
  /** Changes when any other field changes; the agent replaces a container only when it differs. */
  readonly digest: string;
  readonly hostname: string;
  /** Disk serial of the squashfs with the image's files. */
  readonly imageSerial: string;
  readonly argv: readonly string[];
  readonly env: readonly string[]; // NAME=value
  readonly cwd: string;
  /** `''`, `uid`, `uid:gid`, `name` or `name:group`, resolved against the image's /etc/passwd and /etc/group in the guest. */
  readonly user: string;
  readonly extraGroups: readonly string[];
  readonly readOnlyRoot: boolean;
  readonly mounts: readonly GuestMount[];
  readonly limits: { readonly cpus?: number; readonly memoryBytes?: number; readonly pids?: number };
  readonly network: { readonly address: string; readonly gateway: string; readonly mac: string } | null;
  readonly capabilities: { readonly add: readonly string[]; readonly drop: readonly string[] };
  readonly privileged: boolean;
  readonly init: boolean;
  readonly tty: boolean;
  readonly stopSignal: string; // SIGTERM
  readonly stopGraceMs: number;
  readonly restart: { readonly policy: 'no' | 'on-failure' | 'always' | 'unless-stopped'; readonly maxAttempts?: number };
  readonly health: GuestProbe | null;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly shmBytes: number;
  /** Log bytes kept per container (two files of half this size); the writer never blocks. */
  readonly logBytes: number;
}

export type GuestMount =
  | { readonly kind: 'volume'; readonly serial: string; readonly target: string; readonly readOnly: boolean; readonly subpath?: string }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes?: number; readonly mode?: number }
  /** A file that lives in memory: config, secret, /etc/hosts, /etc/resolv.conf. Content in base64. */
  | { readonly kind: 'file'; readonly target: string; readonly content: string; readonly mode: number; readonly uid: number; readonly gid: number };

export interface GuestProbe {
  readonly test:
    | { readonly kind: 'command'; readonly argv: readonly string[] }
    | { readonly kind: 'http'; readonly port: number; readonly path: string }
    | { readonly kind: 'tcp'; readonly port: number };
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
}

export type GuestContainerPhase = 'created' | 'running' | 'stopping' | 'waiting' | 'exited';

/** What the agent says of one container. `waiting` is the pause before a restart. */
export interface GuestContainerState {
  readonly id: string;
  readonly digest: string;
  readonly phase: GuestContainerPhase;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  /** 128 + n for death by signal n; -1 while it never ended; 125 where it could not be started. */
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly restarts: number;
  readonly health: 'none' | 'starting' | 'healthy' | 'unhealthy';
  readonly lastProbe: { readonly atMs: number; readonly ok: boolean; readonly output: string } | null;
  /** Why it could not be started. */
  readonly error: string;
  /** Its process came to this guest with the memory of another; left out by earlier agents. */
  readonly cloned?: boolean | undefined;
}

/** Requests of the host: name → parameters and result. */
export interface AgentCalls {
  hello: { params: { readonly nonce: string }; result: GuestHello };
  /** Sets identity before anything else runs: wall clock, entropy, host name. Safe to repeat. */
  configure: { params: { readonly hostname: string; readonly timeMs: number; readonly entropy: string /* base64, ≥ 32 bytes */; readonly machineId: string; readonly mac?: string /* of its card, where that was made for nobody in particular */ }; result: Record<string, never> };
  ping: { params: Record<string, never>; result: { readonly uptimeMs: number } };
  /** Makes the container be as said, running; replaces one of another digest. Returns when its process runs or failed to start. */
  containerStart: { params: { readonly spec: GuestContainerSpec }; result: GuestContainerState };
  /** Signal, grace, then kill; no restart follows. Done when it is gone. Fine for one that does not run. */
  containerStop: { params: { readonly id: string; readonly signal?: string; readonly graceMs?: number }; result: GuestContainerState };
  containerKill: { params: { readonly id: string; readonly signal: string }; result: Record<string, never> };
  /** Stops and forgets it with its scratch files and logs. Fine for an unknown id. */
  containerRemove: { params: { readonly id: string }; result: Record<string, never> };
  /** Nothing of it runs until it is thawed, goes on under another id, or the limit is over. Freezing again begins the limit anew; thawing one that is not frozen is fine. */
  containerFreeze: { params: { readonly id: string; readonly limitMs: number /* 0: thaw */ }; result: Record<string, never> };
  /**
   * The container that came with the memory of another guest goes on as this one: under its id, host name and address, without
   * the connections it had. `command` is run in it before it is told as running, and its health is asked. Where any of that
   * fails, nothing is left of it (`cannotGoOn`). Fine where it did already.
   */
  containerGoOn: { params: { readonly from: string; readonly spec: GuestContainerSpec; readonly command: readonly string[] | null; readonly limitMs: number }; result: GuestContainerState };
  containerList: { params: Record<string, never>; result: { readonly containers: readonly GuestContainerState[] } };
  /** `calls`: reads and writes of the processes that live and those they waited for; left out where the guest's kernel does not count. Earlier agents left out the two times as well. */
  containerStats: { params: { readonly id: string }; result: { readonly cpuNanos: number; readonly userNanos?: number | undefined; readonly systemNanos?: number | undefined; readonly calls?: number | undefined; readonly memoryBytes: number; readonly memoryPeakBytes: number; readonly pids: number; readonly oomKills: number } };
  /** Opens a stream of log lines (frames of JSON lines {t: ms, s: 1|2, l: text}); `end` event when done. */
  containerLogs: { params: { readonly id: string; readonly stream: number; readonly follow: boolean; readonly tail?: number; readonly sinceMs?: number }; result: Record<string, never> };
  /** Runs a program in a container, or in the guest itself where container is ''. Data travels on `stream`; an `exit` event ends it. */
  exec: { params: GuestExec; result: { readonly pid: number } };
  execResize: { params: { readonly stream: number; readonly rows: number; readonly columns: number }; result: Record<string, never> };
  execSignal: { params: { readonly stream: number; readonly signal: string }; result: Record<string, never> };
  /** Reads or writes a file of a container or the guest; at most 1 MiB per call, content in base64. */
  fileRead: { params: { readonly container: string; readonly path: string; readonly offset: number; readonly length: number }; result: { readonly content: string; readonly eof: boolean } };
  fileWrite: { params: { readonly container: string; readonly path: string; readonly content: string; readonly mode: number; readonly append: boolean }; result: Record<string, never> };
  stats: { params: Record<string, never>; result: { readonly memoryTotalBytes: number; readonly memoryAvailableBytes: number; readonly load1: number; readonly uptimeMs: number; readonly disks: readonly string[] } };
  /** Waits until disks with these serials are seen by the guest. */
  awaitDisks: { params: { readonly serials: readonly string[]; readonly timeoutMs: number }; result: Record<string, never> };
  /** Unmounts whatever uses the disk, so that it can be unplugged. */
  releaseDisk: { params: { readonly serial: string }; result: Record<string, never> };
  /** Flushes and freezes (or thaws) a volume's file system for a consistent snapshot. */
  freezeDisk: { params: { readonly serial: string; readonly frozen: boolean }; result: Record<string, never> };
  /** Stops containers in parallel, syncs, unmounts, powers off. */
  powerOff: { params: { readonly graceMs: number }; result: Record<string, never> };
}
export type AgentMethod = keyof AgentCalls;

export interface GuestHello {
  readonly nonce: string;
  readonly protocol: number;
  readonly agentVersion: string;
  readonly bootId: string;
  readonly kernel: string;
  readonly architecture: string;
  readonly uptimeMs: number;
}

export interface GuestExec {
  readonly container: string;
  readonly stream: number;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string; // '' = the container's own
  readonly user: string; // '' = the container's own
  readonly tty: { readonly rows: number; readonly columns: number } | null;
  readonly stdin: boolean;
}

/** What the agent says unasked. */
export type AgentEvent =
  | { readonly event: 'container'; readonly state: GuestContainerState }
  | { readonly event: 'exit'; readonly stream: number; readonly code: number }
  | { readonly event: 'end'; readonly stream: number; readonly error: string };

/** Envelope of JSON frames. */
export type AgentRequest = { readonly id: number; readonly method: AgentMethod; readonly params: unknown };
export type AgentReply = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: { readonly code: string; readonly message: string } };
