// Package protocol decodes what the Lua module sends: answers to a subscription, and batches of changes.
// prosody/README.md is the norm.
package protocol
