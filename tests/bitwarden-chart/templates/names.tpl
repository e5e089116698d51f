{{- define "fullname" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}

{{/* A program that answers paths with what is in a file. Bitwarden's images are not here. */}}
{{- define "standIn" }}
image: {{ .Values.standIn }}
command:
- node
- -e
- |
  const answers = require("/answers/answers.json");
  require("http").createServer((request, response) => {
    const answer = answers[request.url];
    response.writeHead(answer ? 200 : 404, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
  }).listen(5000);
  process.on("SIGTERM", () => process.exit());
volumeMounts:
- { name: answers, mountPath: /answers }
{{- end }}
