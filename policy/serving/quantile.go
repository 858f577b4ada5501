package serving

import "math"

// percentile is the nearest-rank p-quantile (0 < p <= 1) of values, 0 if there are none. It reorders them: selecting
// costs linear time where sorting would take most of a day's simulation.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	rank := max(0, int(math.Ceil(p*float64(len(values))))-1)
	low, high := 0, len(values)-1
	for low < high {
		left, right := partition(values, low, high)
		switch {
		case rank <= right:
			high = right
		case rank >= left:
			low = left
		default:
			return values[rank] // between the two parts lie only values equal to the pivot
		}
	}
	return values[rank]
}

// partition is Hoare's: afterwards values[low..right] <= pivot <= values[left..high], and right < left.
func partition(values []float64, low, high int) (left, right int) {
	pivot := values[low+(high-low)/2]
	left, right = low, high
	for left <= right {
		for values[left] < pivot {
			left++
		}
		for values[right] > pivot {
			right--
		}
		if left <= right {
			values[left], values[right] = values[right], values[left]
			left++
			right--
		}
	}
	return left, right
}
