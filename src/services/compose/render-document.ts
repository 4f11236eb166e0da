import type { AppSpec } from '../app.ts';
import type { ProjectReading } from './service/service-reading.ts';
import { plain } from './yaml/tree.ts';

export function renderDocument(project: ProjectReading, app: AppSpec): Readonly<Record<string, unknown>> {
  return { ...(plain(project.tree) as object), name: app.name };
}
