package metrics

// field names the members and labels that the decoder knows. Everything else is fieldOther and skipped.
type field uint8

const (
	fieldOther field = iota
	// labels
	fieldNamespace
	fieldPod
	fieldExportedNamespace
	fieldExportedPod
	fieldSource
	fieldIdle
	labelFields // number of label fields, fieldOther included
	// members
	fieldStatus
	fieldData
	fieldErrorType
	fieldError
	fieldWarnings
	fieldResultType
	fieldResult
	fieldMetric
	fieldValue
	fieldValues
	fieldHistogram
)

func labelField(name []byte) field {
	switch string(name) {
	case "namespace":
		return fieldNamespace
	case "pod":
		return fieldPod
	case "exported_namespace":
		return fieldExportedNamespace
	case "exported_pod":
		return fieldExportedPod
	case sourceLabel:
		return fieldSource
	case idleLabel:
		return fieldIdle
	}
	return fieldOther
}

func memberField(name []byte) field {
	switch string(name) {
	case "status":
		return fieldStatus
	case "data":
		return fieldData
	case "errorType":
		return fieldErrorType
	case "error":
		return fieldError
	case "warnings":
		return fieldWarnings
	case "resultType":
		return fieldResultType
	case "result":
		return fieldResult
	case "metric":
		return fieldMetric
	case "value":
		return fieldValue
	case "values":
		return fieldValues
	case "histogram", "histograms":
		return fieldHistogram
	}
	return fieldOther
}
