package cluster

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"ppch/component/occupancy"
)

// A field that is added to these types must travel, too.
func TestLine_CarriesEveryField(t *testing.T) {
	t.Parallel()
	var o occupancy.Occupant
	fill(t, reflect.ValueOf(&o).Elem())
	o.Kind, o.Connection = occupancy.KindSIP, occupancy.ConnectionStale
	var f occupancy.RoomFacts
	fill(t, reflect.ValueOf(&f).Elem())
	want := []occupancy.Delta{{Room: "planning@muc.meet.jitsi", New: true, Facts: &f, Present: []occupancy.Occupant{o}}}
	got, err := decodeDeltas(string(appendDelta(nil, &want[0])))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %+v, %v want %+v %+v", got, got[0].Facts, err, want, want[0].Facts)
	}
}

// fill sets each field of a struct to a value of its own.
func fill(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		switch field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.UnixMilli(int64(1_700_000_000_000 + i)).UTC()))
		case *int:
			field.Set(reflect.ValueOf(new(i)))
		case []occupancy.Breakout:
			field.Set(reflect.ValueOf([]occupancy.Breakout{{JID: "b@breakout.meet.jitsi", Name: "B"}}))
		default:
			switch field.Kind() {
			case reflect.String:
				field.SetString(fmt.Sprint(name, "\t", i))
			case reflect.Bool:
				field.SetBool(true)
			case reflect.Uint16:
				field.SetUint(uint64(i)) // #nosec G115 -- an index
			default:
				t.Fatalf("%s: a kind of field that this test can't fill: %s", name, field.Kind())
			}
		}
	}
}
