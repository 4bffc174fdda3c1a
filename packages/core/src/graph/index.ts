export * from './attribute';
export * from './clone';
export * from './dtype';
export * from './graph';
export * from './print';
export * from './shape';
export * from './tensor';
export * from './verify';
