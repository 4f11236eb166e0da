/** A template that can be used. */
import type { TemplatePlaces } from './template-places.ts';
import type { TemplateRecord } from './template-record.ts';

export interface Template extends TemplatePlaces { readonly key: string; readonly record: TemplateRecord }
