package main

import (
	"testing"

	"ppch/prosody/prosodytest"
)

func TestTheDashboardOpens(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	s := runService(t, envFor(srv)).ready()
	p := startChromium(t).open(t, s.url+"/dashboard/")
	p.shows("the status", "Prosody: ok", func() string { return p.text("#status") })
}
