{{/* What everything is called: as the lease, so that two installations do not meet. */}}
{{- define "gpuscaler.name" -}}
gpuscaler{{ with .Values.controllerName }}-{{ . }}{{ end }}
{{- end }}

{{- define "gpuscaler.labels" -}}
app.kubernetes.io/name: gpuscaler
{{- end }}

{{- define "gpuscaler.subject" -}}
kind: ServiceAccount
name: {{ include "gpuscaler.name" . }}
namespace: {{ .Release.Namespace }}
{{- end }}

{{/* What is granted in a namespace that is looked at. */}}
{{- define "gpuscaler.workloadRules" -}}
- apiGroups: [apps]
  resources: [deployments, replicasets]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods{{ if not .Values.watch.namespaces }}, namespaces{{ end }}]
  verbs: [list, watch]
{{- if not .Values.watch.namespaces }}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
{{- if .Values.keda }}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [list, watch]
{{- end }}
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What scale-down.order: least-busy needs. */}}
{{- define "gpuscaler.leastBusyRules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, patch]
{{- end }}

{{/* Where a kubelet asks whether the controller is well. */}}
{{- define "gpuscaler.port" -}}
{{- if .Values.secureMetrics.enabled -}}
port: https
scheme: HTTPS
{{- else -}}
port: http
{{- end }}
{{- end }}
