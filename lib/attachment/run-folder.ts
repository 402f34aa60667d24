/** Where hints live that mean nothing after the next boot: when a network was swept, what was deleted last. */
export const RUN_FOLDER: string = '/run/nodecni';
