/** Side door of the UML driver; only bin and tests use it. */
export { openUmlEngine, type UmlEngine, type UmlEngineDeps } from './open-uml-engine.ts';
