/**
 * Where something of the ingress is. A path that INGRESS_URL has (a proxy's) stays in front.
 *
 * @param path such as `/readyz`
 */
export const ingressAddress = (ingressUrl: string, path: string): string => `${ingressUrl.replace(/\/+$/, '')}${path}`
