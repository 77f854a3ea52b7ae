package component

import "ppch/component/occupancy"

// Directory returns the directory that c reports to.
func (c *Component) Directory() *occupancy.Directory { return c.cfg.Directory }

// Main returns the state of the main MUC domain.
func (c *Component) Main() occupancy.Domain { return c.cfg.Shard.Domains()[0] }
