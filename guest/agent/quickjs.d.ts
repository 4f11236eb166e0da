/** What the agent uses of QuickJS' own modules and of our system-call module (system/). */
declare module 'os' {
  export function open(path: string, flags: number, mode?: number): number;
  export function close(fd: number): number;
  export function readdir(path: string): [string[], number];
  export function mkdir(path: string, mode?: number): number;
  export function symlink(target: string, path: string): number;
  export function readlink(path: string): [string, number];
  export function rename(from: string, to: string): number;
  export function remove(path: string): number;
  export function seek(fd: number, offset: number, whence: number): number;
  export const O_RDONLY: number, O_WRONLY: number, O_RDWR: number, O_CREAT: number, O_TRUNC: number, O_APPEND: number, O_EXCL: number;
}
declare module 'std' {
  export const SEEK_SET: number, SEEK_END: number;
}
declare module 'sys' {
  export function mount(source: string | null, target: string, type: string | null, flags: number, data: string | null): void;
  export function openTree(path: string, deep: 0 | 1): number;
  export function umount(target: string, flags: number): void;
  export function switchRoot(path: string): void;
  export function loadModule(path: string, parameters: string): void;
  export function setHostname(name: string): void;
  export function setHostnameIn(utsFd: number, name: string): void;
  export function hardware(): string;
  export function setTime(milliseconds: number): void;
  export function monotonic(): number;
  export function addEntropy(bytes: ArrayBuffer): void;
  export function power(again: number): void;
  export function sync(): void;
  export function chmod(path: string, mode: number): void;
  export function chown(path: string, uid: number, gid: number): void;
  export function freeze(path: string, frozen: number): void;
  export function unshareNet(): void;
  export function setnsNet(fd: number): void;
  export function netlink(request: ArrayBuffer): void;
  export function interfaceIndex(name: string): number;
  export function connect(address: string, port: number): number;
  export function socketError(fd: number): string;
  export function cutConnection(pid: number, fd: number): boolean;
  export function nonblocking(fd: number): void;
  export function read(fd: number, into: ArrayBuffer): number;
  export function write(fd: number, from: ArrayBuffer, offset: number, length: number): number;
  export function pollAll(list: ArrayBuffer, milliseconds: number): number;
  export function hungUp(fd: number): boolean;
  export function setTurn(turn: () => void): void;
  export function openIn(root: string, path: string, kind: 0 | 1 | 2 | 3 | 4, mode: number): number;
  export type Stat = readonly [mode: number, uid: number, gid: number, size: number];
  export function fstat(fd: number): Stat;
  export function lstat(path: string): Stat | null;
  export function readText(path: string): string | null;
  export function signals(): number;
  export function notifyChanges(fd: number): void;
  export function watchFolder(path: string): number;
  export function rawTerminal(fd: number): void;
  export function pipe(): [number, number];
  export function openPty(ptmx: number, rows: number, columns: number): number;
  export function toBase64(bytes: ArrayBuffer, offset: number, length: number): string;
  export function fromBase64(text: string): ArrayBuffer;
  export function setWindow(fd: number, rows: number, columns: number): void;
  export interface SpawnOptions {
    argv: readonly string[]; env: readonly string[]; stdio: readonly [number, number, number]; cwd?: string | null; terminal?: number;
    namespaces?: readonly number[]; pidNamespace?: number; ownPidNamespace?: number; cgroup?: number; root?: number; uid?: number; gid?: number; groups?: readonly number[]; capabilities?: readonly [number, number];
  }
  export function spawn(options: SpawnOptions): [pid: number, channel: number];
  export interface ContainerOptions {
    argv: readonly string[]; env: readonly string[]; stdio: readonly [number, number, number]; cwd: string; terminal: number; uid: number; gid: number; groups: readonly number[]; capabilities: readonly [number, number];
    cgroup: number; network: number; steps: readonly (readonly (string | number | undefined)[])[]; limits: readonly (readonly [resource: number, soft: number, hard: number])[];
  }
  export function startContainer(options: ContainerOptions): [pid: number, channel: number];
  export function reap(): [number, number] | null;
  export function kill(pid: number, signal: number): void;
  export function encode(text: string): ArrayBuffer;
  export function decode(bytes: ArrayBuffer, offset: number, length: number): string;
}
