/**
 * One entry of a tar archive. Names are kept as latin1 text, one character per byte, so that a name which
 * is no valid UTF-8 comes out as it went in.
 */
export const tarTypes = ['file', 'hardlink', 'symlink', 'character', 'block', 'directory', 'fifo'] as const;
export type TarType = (typeof tarTypes)[number];

export interface TarEntry {
  readonly path: string;
  readonly type: TarType;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content that follow; 0 for all but files. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Target of a link, '' otherwise. */
  readonly linkTarget: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Extended attributes; the name in latin1, the value in bytes. */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

export const noXattrs: ReadonlyMap<string, Buffer> = new Map();

/** An entry of ours: root's, dated at the beginning of time unless said otherwise. */
export function tarEntry(fields: Pick<TarEntry, 'path' | 'type'> & Partial<TarEntry>): TarEntry {
  const mode = fields.type === 'directory' ? 0o755 : fields.type === 'symlink' ? 0o777 : 0o644;
  return { mode, uid: 0, gid: 0, size: 0, mtime: 0, linkTarget: '', deviceMajor: 0, deviceMinor: 0, xattrs: noXattrs, ...fields };
}
