package nn

import (
	"math"

	lt "loris/tensorlib"
)

// Losses return a scalar, the mean over all elements (rows, for CrossEntropy).

// MSE is the mean of (x-target)².
func MSE(x, target *lt.Tensor) *lt.Tensor { return x.Sub(target).Square().Mean() }

// L1 is the mean of |x-target|.
func L1(x, target *lt.Tensor) *lt.Tensor { return x.Sub(target).Abs().Mean() }

// Huber is the mean of d²/2 where |d| = |x-target| is below delta, and of
// delta·(|d|-delta/2) elsewhere.
func Huber(x, target *lt.Tensor, delta float64) *lt.Tensor {
	d := x.Sub(target).Abs()
	return lt.Where(d.Lt(delta), d.Square().Mul(0.5), d.Sub(delta/2).Mul(delta)).Mean()
}

// CrossEntropy is the mean of -log softmax(logits)[target] over the rows of
// logits [… classes] whose target (a class index) counts: -100 and
// options.Ignore do not. If none counts it is NaN.
func CrossEntropy(logits, targets *lt.Tensor, options ...lt.CrossEntropyOptions) *lt.Tensor {
	losses := logits.CrossEntropy(targets, options...)
	counts := targets.Ne(-100)
	if len(options) > 0 {
		for _, i := range options[0].Ignore {
			counts = counts.And(targets.Ne(i))
		}
	}
	return meanOf(losses, counts)
}

// meanOf is the sum of losses divided by the number of those that count.
func meanOf(losses, counts *lt.Tensor) *lt.Tensor {
	wide := lt.F32 // in which a sum of half-precision losses does not overflow
	if losses.DType() == lt.F64 {
		wide = lt.F64
	}
	return losses.Cast(wide).Sum().Div(counts.Sum().Cast(wide)).Cast(losses.DType())
}

// BCEWithLogits is the mean binary cross-entropy of σ(x) with target, 0…1,
// computed without overflow: max(x, 0) - x·target + log(1+e^-|x|).
func BCEWithLogits(x, target *lt.Tensor) *lt.Tensor {
	return x.Relu().Sub(x.Mul(target)).Add(x.Abs().Neg().Exp().Log1p()).Mean()
}

// NLL is the mean of -logp[target] over the rows of log-probabilities [… classes]
// whose target is not -100. If none counts it is NaN.
func NLL(logp, targets *lt.Tensor) *lt.Tensor {
	counts := targets.Ne(-100)
	picked := logp.TakeAlong(lt.Where(counts, targets, 0).Unsqueeze(-1), -1).Squeeze(-1)
	return meanOf(lt.Where(counts, picked, 0).Neg(), counts)
}

// KLDiv is Σ p·(log p - logq) over the last axis, averaged over rows: the
// divergence of q, given by its logarithm, from p. 0·log 0 counts as 0.
func KLDiv(logq, p *lt.Tensor) *lt.Tensor {
	safe := lt.Where(p.Gt(0), p, 1)
	return p.Mul(safe.Log().Sub(logq)).Sum(-1).Mean()
}

// CosineSimilarity is x·y/(|x|·|y|) over the last axis; norms below 1e-8 count
// as 1e-8.
func CosineSimilarity(x, y *lt.Tensor) *lt.Tensor {
	return x.Mul(y).Sum(-1).Div(x.Norm(-1).Maximum(1e-8).Mul(y.Norm(-1).Maximum(1e-8)))
}

// Triplet is the mean of max(0, |a-p| - |a-n| + margin) over rows.
func Triplet(anchor, positive, negative *lt.Tensor, margin float64) *lt.Tensor {
	return anchor.Sub(positive).Norm(-1).Sub(anchor.Sub(negative).Norm(-1)).Add(margin).Relu().Mean()
}

// Perplexity is e to the mean cross-entropy.
func Perplexity(loss float64) float64 { return math.Exp(loss) }
