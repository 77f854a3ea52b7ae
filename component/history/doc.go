// Package history keeps a record of meetings, of the stays in them, and of the times when PPCH wasn't watching, in one SQLite file.
//
// It imports package occupancy only. A [Store] is the file. A [Recorder] fills it from the events of an [occupancy.Directory].
//
// # One transaction per batch
//
// The Lua module sends changes in batches. The Recorder applies one batch, or several that wait, in one transaction:
// meetings, stays, gaps, and what an [Outbox] adds. Either all of it is in the file or none of it.
//
// # The seam for webhooks
//
// A Recorder has at most one [Outbox]. Within the transaction of a batch it calls [Outbox.Append] with that transaction
// and the events of the batch, in order. An error of Append rolls back the transaction.
// The function that Append returns runs after the commit, to wake the delivery.
// [Outbox.Erase] runs within the transaction that erases a person.
// The tables of an Outbox have migrations of their own in migrations/, numbered like all others.
//
// Events have computed ids ([Event.ID]): the same change has the same id after a restart and in another PPCH that watches the same Prosody.
//
// # After a restart
//
// The file also has the present occupants of each room. After a restart, after events were dropped and after a failed write,
// the Recorder compares this with a snapshot of the Directory. The stay of an occupant in both continues.
// An occupant in the snapshot alone joined at the time that Prosody states. An occupant in the file alone left
// between the last confirmation before and the snapshot: [Event.NotBefore] and At are these bounds.
// The time between is a [Gap], because occupants who joined and left within it are unknown.
//
// # What is stored of people
//
// [Level] decides. The file never holds a real JID, an e-mail address or an avatar. With [LevelOff] and no Outbox that wants events it holds nothing of a room.
// While an occupant is present, the file has its nick, which PPCH needs to recognize it after a restart; when it leaves, the nick is deleted
// unless the level is [LevelNames]. Deleted content is overwritten (secure_delete), also in the write-ahead log once it is truncated.
package history
