// Package doctor finds out why nobody can be counted: "ppch doctor".
//
// From a request to Prosody's rooms there is a chain: the configuration, the service, a name, a port, a component, its secret,
// the MUC domains, the Lua module there. Each link is one Check, and what depends on a broken link isn't judged.
//
// It does no harm. A second connection as the same component would throw the first one out (component_conflict_resolve), so a
// service that runs is asked how it sees its chain, by GET /api/wiring. Only where it is certain that none runs the doctor connects to
// Prosody itself, by the same package component that the service does it by, for a few seconds. Either way the facts are the same,
// and so is the judgement.
package doctor
