package occupancy_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"ppch/component/occupancy"
)

func TestRecord_KeepsEveryField(t *testing.T) {
	t.Parallel()
	var long occupancy.Occupant
	for n := range reflect.TypeFor[occupancy.Occupant]().NumField() {
		var o occupancy.Occupant
		for _, of := range []*occupancy.Occupant{&o, &long} {
			switch field := reflect.ValueOf(of).Elem().Field(n); field.Kind() {
			case reflect.String:
				field.SetString(strings.Repeat("x\x00é", 1+20_000*n))
			case reflect.Uint16:
				field.SetUint(1 << 15)
			default:
				field.Set(reflect.ValueOf(time.UnixMilli(253402300799999).UTC())) // the last millisecond of RFC 3339
			}
		}
		if got := occupancy.NewRecord(o).Occupant(); got != o {
			t.Errorf("got %+v want %+v", got, o)
		}
	}
	for _, o := range []occupancy.Occupant{{}, long} {
		if got := occupancy.NewRecord(o); got.Occupant() != o || got.ID() != o.ID || got.Kind() != o.Kind {
			t.Errorf("got %+v want %+v", got.Occupant(), o)
		}
	}
}
