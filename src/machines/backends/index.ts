/** Side door of the back ends' driver; bin alone opens it. */
export { openStorageDaemon } from './open-storage-daemon.ts';
