package hpa

import (
	"reflect"
	"time"
	"unsafe"

	"k8s.io/client-go/tools/record"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
)

// ScaleEvents returns when the scale events happened that the controller remembers under the key, in the order of its
// arrays. It puts a new event in the place of one that it takes for outdated: that place shows what it forgot.
func (a *Autoscaler) ScaleEvents(key string) (up, down []time.Time) {
	return times(a.controller, "scaleUpEvents", key), times(a.controller, "scaleDownEvents", key)
}

// times reads the timestamps of one of the controller's unexported map[string][]struct{timestamp time.Time; ...}.
func times(c *podautoscaler.HorizontalController, field, key string) []time.Time {
	list := reflect.ValueOf(c).Elem().FieldByName(field).MapIndex(reflect.ValueOf(key))
	if !list.IsValid() {
		return nil
	}
	result := make([]time.Time, list.Len())
	for i := range result {
		result[i] = *(*time.Time)(unsafe.Pointer(list.Index(i).FieldByName("timestamp").UnsafeAddr()))
	}
	return result
}

// forgetEvents takes from the controller the recorder that writes Events, as those would be a good part of the work.
func forgetEvents(c *podautoscaler.HorizontalController) {
	recorder := (*record.EventRecorder)(unsafe.Pointer(reflect.ValueOf(c).Elem().FieldByName("eventRecorder").UnsafeAddr()))
	*recorder = &record.FakeRecorder{} // without a channel it keeps nothing
}
