// One threshold and one scale for a whole tensor.
#ifndef CONVERT_TENSOR_FIT_H
#define CONVERT_TENSOR_FIT_H

#include "base/parallel.h"
#include "convert/strip.h"

// Sets plan->fit. Trits that are there already keep their scale; otherwise absmean and threshold take one or two passes
// over the tensor, least squares alternates between trits and scale until the trits stay (Lloyd 1982), 32 passes at
// most. The scale is a half but for I2_S, F32 and BF16. The result does not depend on the number of threads.
// Errors: NO_MEMORY, UNSUPPORTED (TERNARISE_BLOCK64).
tern_status tensor_fit(struct tensor_plan *plan, const struct source *source, struct pool *pool);

#endif
