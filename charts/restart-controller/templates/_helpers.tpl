{{/* The name of all objects; a release called after the chart does not say it twice. */}}
{{- define "restart-controller.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* What never changes, as a Deployment's selector cannot. */}}
{{- define "restart-controller.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "restart-controller.labels" -}}
{{ include "restart-controller.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Whether the cluster has MutatingAdmissionPolicies. `helm template` knows no cluster's kinds, only a version. */}}
{{- define "restart-controller.stamps" -}}
{{- if or (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
yes
{{- end -}}
{{- end }}

{{/* The policies without which no restart begins, as --require-admission takes them. */}}
{{- define "restart-controller.policies" -}}
ValidatingAdmissionPolicy/restartrequests.restart-controller.dev
{{- if include "restart-controller.stamps" . }},MutatingAdmissionPolicy/requester.restart-controller.dev{{ end }}
{{- range list "pods" "configmaps" "jobs" "secrets" }},ValidatingAdmissionPolicy/{{ include "restart-controller.fullname" $ }}-{{ . }}{{ end }}
{{- end }}

{{/* Head of a policy for the controller's own account, up to its matchConditions, and its binding before it. */}}
{{- define "restart-controller.restraint" -}}
{{- $full := include "restart-controller.fullname" .root -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $full }}-{{ .name }}
  labels:
    {{- include "restart-controller.labels" .root | nindent 4 }}
spec:
  policyName: {{ $full }}-{{ .name }}
  validationActions: [Deny]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ $full }}-{{ .name }}
  labels:
    {{- include "restart-controller.labels" .root | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [{{ .group | quote }}]
        apiVersions: ["*"]
        operations: {{ .operations }}
        resources: [{{ .resource }}]
  matchConditions:
    - name: the-controller-itself
      expression: request.userInfo.username == 'system:serviceaccount:{{ .root.Release.Namespace }}:{{ $full }}'
{{- end }}

{{/* A duration of the values in milliseconds. */}}
{{- define "restart-controller.millis" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- if hasSuffix "ms" . }}{{ $number }}{{ else if hasSuffix "s" . }}{{ mul $number 1000 }}{{ else }}{{ mul $number 60000 }}{{ end -}}
{{- end }}

{{/* Nothing, where the three durations go together as the controller asks for (src/controller/leader/decide.rs). */}}
{{- define "restart-controller.election" -}}
{{- with .Values.leaderElection -}}
{{- $lease := include "restart-controller.millis" .leaseDuration | int64 -}}
{{- $deadline := include "restart-controller.millis" .renewDeadline | int64 -}}
{{- $retry := include "restart-controller.millis" .retryPeriod | int64 -}}
{{- if ge $deadline $lease -}}
{{- fail (printf "leaderElection.renewDeadline (%s) must be shorter than leaderElection.leaseDuration (%s)" .renewDeadline .leaseDuration) -}}
{{- end -}}
{{- if or (eq $retry 0) (gt (mul $retry 2) $deadline) -}}
{{- fail (printf "leaderElection.retryPeriod (%s) must be above 0 and at most half of leaderElection.renewDeadline (%s)" .retryPeriod .renewDeadline) -}}
{{- end -}}
{{- end -}}
{{- end }}
