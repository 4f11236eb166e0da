/**
 * One session for each machine that carries containers: the agent's line, and what the agent last said of
 * each container. An event of the agent updates the picture and tells the listener; a lost line empties
 * it. Nothing is concluded from silence: without a line every container of the machine is 'unreachable'.
 */
import type { Log } from '#base';
import type { GuestContainerState } from '#guest-protocol';
import type { AgentConnection, Machines } from '#machines';

export interface SessionListener {
  /** The agent said something new of a container. */
  changed(machineId: string, guestBootId: string, state: GuestContainerState): void;
  /** The line to the machine was lost. */
  lost(machineId: string): void;
}

interface Session {
  readonly connection: AgentConnection;
  readonly guestBootId: string;
  readonly states: Map<string, GuestContainerState>;
}

export interface GuestSessions {
  /** The session of a machine that runs; opens it where there is none. @throws StrataError `agent.*`, `machine.notRunning` */
  ensure(machineId: string, guestBootId: string): Promise<GuestSession>;
  /** What is known without asking: undefined where there is no line. */
  peek(machineId: string, containerId: string): GuestContainerState | 'absent' | 'unreachable';
  drop(machineId: string): void;
  close(): void;
}

export interface GuestSession {
  readonly connection: AgentConnection;
  readonly guestBootId: string;
  state(containerId: string): GuestContainerState | undefined;
  states(): readonly GuestContainerState[];
  /** Asks the agent for all containers and replaces the picture. */
  refresh(): Promise<void>;
  /** Records an answer of the agent, unless an event has told of a later moment already. */
  learn(state: GuestContainerState): void;
  forget(containerId: string): void;
}

export function openGuestSessions(deps: { readonly machines: Machines; readonly listener: SessionListener; readonly log: Log }): GuestSessions {
  const sessions = new Map<string, Session>();
  const opening = new Map<string, Promise<Session>>();

  async function open(machineId: string, guestBootId: string): Promise<Session> {
    const connection = await deps.machines.agent(machineId, { timeoutMs: 20_000 });
    const session: Session = { connection, guestBootId, states: new Map() };
    const stopListening = connection.onEvent((event) => {
      if (event.event !== 'container') return;
      session.states.set(event.state.id, event.state);
      deps.listener.changed(machineId, guestBootId, event.state);
    });
    void connection.closed.then(() => {
      stopListening();
      if (sessions.get(machineId) === session) {
        sessions.delete(machineId);
        deps.listener.lost(machineId);
      }
    });
    await refresh(session);
    sessions.set(machineId, session);
    return session;
  }

  return {
    async ensure(machineId, guestBootId) {
      const known = sessions.get(machineId);
      if (known !== undefined && known.guestBootId === guestBootId) return view(known);
      if (known !== undefined) sessions.delete(machineId);
      let pending = opening.get(machineId);
      if (pending === undefined) {
        pending = open(machineId, guestBootId).finally(() => opening.delete(machineId));
        opening.set(machineId, pending);
      }
      return view(await pending);
    },
    peek(machineId, containerId) {
      const session = sessions.get(machineId);
      return session === undefined ? 'unreachable' : session.states.get(containerId) ?? 'absent';
    },
    drop(machineId) { sessions.delete(machineId); },
    close() { sessions.clear(); },
  };
}

async function refresh(session: Session): Promise<void> {
  const { containers } = await session.connection.call('containerList', {});
  const seen = new Set(containers.map((state) => state.id));
  for (const id of session.states.keys()) if (!seen.has(id)) session.states.delete(id);
  for (const state of containers) session.states.set(state.id, state);
}

function view(session: Session): GuestSession {
  return {
    connection: session.connection,
    guestBootId: session.guestBootId,
    state: (id) => session.states.get(id),
    states: () => [...session.states.values()],
    refresh: () => refresh(session),
    learn(state) {
      const known = session.states.get(state.id);
      if (known === undefined || !isOlder(state, known)) session.states.set(state.id, state);
    },
    forget: (id) => { session.states.delete(id); },
  };
}

/** The end of a short run may be told before the answer to its start is taken up. */
function isOlder(answer: GuestContainerState, known: GuestContainerState): boolean {
  const ran = answer.phase === 'running' || answer.phase === 'stopping';
  return ran && (known.phase === 'exited' || known.phase === 'waiting') && answer.digest === known.digest && answer.startedAtMs === known.startedAtMs;
}
