-- Health of a NotificationHub in Argo CD. docs/gitops.md installs it.
-- Argo CD itself reports resources that are being deleted as Progressing, and does not run this script for them.
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not observed the spec yet" }
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
-- After a failure of the first reconcile, Ready is the only condition.
local none = { status = "Unknown", reason = "", message = "" }
local ready = conditions.Ready or none
local degraded = conditions.Degraded or none
local progressing = conditions.Progressing or none
local paused = conditions.Paused or none

if degraded.status == "True" then
  return { status = "Degraded", message = degraded.message }
end
if ready.status == "False" and ready.reason ~= "Progressing" and ready.reason ~= "Paused" then
  return { status = "Degraded", message = ready.message }
end
if paused.status == "True" then
  return { status = "Suspended", message = paused.message }
end
if ready.status ~= "True" then
  return { status = "Progressing", message = ready.message }
end
if progressing.reason == "RolloutQueued" then
  return { status = "Progressing", message = progressing.message }
end
return { status = "Healthy", message = ready.message }
