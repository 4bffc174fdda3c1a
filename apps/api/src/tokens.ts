/** @file What Nest injects: the service (packages/service) and this API's configuration. */
export const SERVICE = Symbol('service');
export const API_CONFIG = Symbol('api configuration');
