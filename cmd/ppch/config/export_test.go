package config

// For the fuzz test: what reads and writes the file of shards.
var (
	ParseShards = parseShards
	RetireLine  = retireLine
)
