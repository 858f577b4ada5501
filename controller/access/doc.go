// Package access decides who may read what a controller serves, as Kubernetes' own components do: it asks the API server whose
// bearer token a request carries (TokenReview), and whether that user may do it (SubjectAccessReview). Rights are those of RBAC on
// non-resource URLs: the verb is the method in lower case, and the path is
//
//	/metrics      for /metrics
//	/gpuscaler…   for all other paths: /gpuscaler/ is the dashboard, /gpuscaler/api/v1/workloads the list
//
// because Kubernetes' default role system:discovery lets every user GET /api/*, the paths of its own API.
//
// Whatever cannot be decided is refused: no answer of the API server is no permission. Verdicts are kept for 10 s, good and bad ones,
// so that takes as long to act what an administrator changes.
package access
