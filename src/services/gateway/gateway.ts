/**
 * The gateway's port: HAProxy in front of all published ports and of `http://<service>.<app>.localhost`.
 * The wished state is one value; the driver changes a running gateway through its runtime API and reloads
 * only where structure changed (a new bind or backend).
 */
export interface GatewayBackend {
  /** `<app>_<service>_<port>`: stable name, [a-z0-9_-]. */
  readonly name: string;
  readonly mode: 'http' | 'tcp';
  readonly servers: readonly { readonly name: string; readonly address: string; readonly port: number; readonly state: 'ready' | 'drain'; readonly weight: number }[];
  /** Where connections wait while no server is ready: the edge's parking port on the gateway address. */
  readonly parkingPort: number | null;
}

export interface GatewayBind {
  readonly address: string;
  readonly port: number;
  readonly backend: string;
}

export interface GatewayState {
  readonly backends: readonly GatewayBackend[];
  readonly binds: readonly GatewayBind[];
  /** The one HTTP port that routes by Host header: `web.guestbook.localhost` → backend. */
  readonly hosts: { readonly port: number; readonly routes: Readonly<Record<string, string>> };
}

export interface GatewayServerStats { readonly backend: string; readonly server: string; readonly status: string; readonly currentSessions: number; readonly totalRequests: number; readonly errors5xx: number }

export interface Gateway {
  /** Makes it so; returns when new connections see the new state. Starts HAProxy where it does not run. */
  apply(state: GatewayState): Promise<{ readonly reloaded: boolean }>;
  stats(): Promise<readonly GatewayServerStats[]>;
  /** Ends HAProxy (for `erase` and tests). */
  stop(): Promise<void>;
}
