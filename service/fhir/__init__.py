"""The hub's rows as FHIR R4 resources: plain values that `fhir.resources` accepts."""
