// Package bucket keeps settings that all nodes share, such as API keys, in a key-value bucket of NATS JetStream.
//
// # What is trusted
//
// NATS stores the settings, but it can't make them: each entry is sealed with the secret of the cluster, under its name and with
// its generation, a number that grows with every change. A program that may write to the bucket but doesn't have the secret can read nothing,
// and only these changes of it have an effect:
//
//   - None on a node that runs. An entry with a wrong seal, an entry older than the last one, and a missing entry are refused and reported,
//     and the node keeps what it had. PPCH removes an entry by a sealed one that says so.
//   - A node that starts has nothing to compare with: it accepts the older entry, and misses the deleted one.
//
// # How it is read
//
// A node asks several times a second how many changes the bucket has had, and reads the new ones, one request each.
// It doesn't watch the bucket: a watch can stop without a sign, and can't say how old the last look is.
// While NATS is away, a node keeps what it read last. It also saves that in a file, sealed like an entry, and uses the file if it starts meanwhile:
// until it has read the bucket, and for at most a day after the last look at it, so that no removed key is valid forever.
// A node that has neither knows nothing, which isn't the same as no settings.
package bucket
