{{- define "tagwright.labels" -}}
app.kubernetes.io/name: tagwright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: tagwright
{{- end -}}
{{- define "tagwright.subject" -}}
- kind: ServiceAccount
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
{{- define "tagwright.rules" -}}
- apiGroups: [image.toolkit.fluxcd.io]
  resources: [imagerepositories, imagepolicies, imageupdateautomations]
  verbs: [list, watch, patch]
- apiGroups: [image.toolkit.fluxcd.io]
  resources: [imagerepositories/status, imagepolicies/status, imageupdateautomations/status]
  verbs: [patch]
- apiGroups: [source.toolkit.fluxcd.io]
  resources: [gitrepositories]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
