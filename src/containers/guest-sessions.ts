/**
 * One session for each machine that carries containers: the agent's line, and what the agent last said of
 * each container. An event of the agent updates the picture and tells the listener; a lost line empties
 * it. Nothing is concluded from silence: without a line every container of the machine is 'unreachable'.
 */
import type { Log } from '#base';
import type { AgentCalls, GuestContainerState } from '#guest-protocol';
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
  /** Containers that it was given since: it may tell of these, and of what its list has, and cannot fill our memory with others. */
  readonly given: Set<string>;
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
  /** A call that is answered with a container's state, which is part of the picture from then on. */
  change<M extends 'containerStart' | 'containerStop' | 'containerGoOn'>(method: M, params: AgentCalls[M]['params'], options: { readonly timeoutMs: number }): Promise<GuestContainerState>;
  forget(containerId: string): void;
}

export function openGuestSessions(deps: { readonly machines: Machines; readonly listener: SessionListener; readonly log: Log }): GuestSessions {
  const sessions = new Map<string, Session>();
  const opening = new Map<string, Promise<Session>>();

  async function open(machineId: string, guestBootId: string): Promise<Session> {
    const connection = await deps.machines.agent(machineId, { timeoutMs: 20_000 });
    const session: Session = { connection, guestBootId, states: new Map(), given: new Set() };
    const stopListening = connection.onEvent((event) => {
      if (event.event !== 'container' || !isGiven(session, event.state.id)) return;
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
    await refresh(session); // events that come meanwhile are of the same or a later moment
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

const isGiven = ({ states, given }: Session, id: string): boolean => given.has(id) || states.has(id);

/** Asks the agent for all containers. Answers are taken up as they are heard: behind one, an event may have told of more already. */
async function refresh({ connection, states }: Session): Promise<void> {
  await connection.call('containerList', {}, {
    heard({ containers }) {
      states.clear();
      for (const state of containers) states.set(state.id, state);
    },
  });
}

/** Within one turn of the agent the end of a short run may be told before the answer to its start is. */
function learn(session: Session, answer: GuestContainerState): void {
  if (!isGiven(session, answer.id)) return;
  const { states } = session;
  const known = states.get(answer.id);
  const ended = known?.phase === 'exited' || known?.phase === 'waiting';
  if (ended && (answer.phase === 'running' || answer.phase === 'stopping') && answer.digest === known.digest && answer.startedAtMs === known.startedAtMs) return;
  states.set(answer.id, answer);
}

function view(session: Session): GuestSession {
  return {
    connection: session.connection,
    guestBootId: session.guestBootId,
    state: (id) => session.states.get(id),
    states: () => [...session.states.values()],
    change: (method, params, options) => {
      session.given.add('spec' in params ? params.spec.id : params.id);
      return session.connection.call(method, params, { ...options, heard: (state: GuestContainerState) => learn(session, state) });
    },
    forget: (id) => { session.states.delete(id); session.given.delete(id); },
  };
}
