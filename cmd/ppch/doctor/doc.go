// Package doctor diagnoses the connection to Prosody. It implements "ppch doctor".
//
// It checks, in order, everything between a request and Prosody's rooms: the configuration, the service, a name, a port,
// a component, its secret, the MUC domains and the Lua module there. A check that depends on a failed one is skipped.
//
// It does no harm. A second connection as the same component could disconnect the first (component_conflict_resolve), so
// the doctor asks a running service for its diagnostics, with GET /api/diagnostics. It connects to Prosody itself, through package
// component, only if the service certainly does not run. Both ways yield the same facts and the same results.
package doctor
