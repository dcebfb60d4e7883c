import Model

/// What training does with a parameter besides the optimizer's update: a mask, centroids.
///
/// The trainer keeps a *trained* variable for the parameter and asks, in this order, at each step: `use` gives the
/// values of the forward pass, `pullBack` turns their gradient into that of the trained variable, the optimizer moves
/// the trained variable, `project` puts it back where it may be. Everything is a function of these floats, the step
/// number and `state`, so that a run resumed from a checkpoint gives the same bits. One thread at a time.
package protocol ParameterConstraint: AnyObject {
    /// Floats of the trained variable: those of the tensor first, then numbers of the constraint's own (centroids).
    var trainedCount: Int { get }
    /// Floats of the tensor.
    var usedCount: Int { get }

    /// The trained variable to begin with, `trainedCount` floats, for the tensor's `weights`.
    func start(_ weights: [Float]) -> [Float]

    /// Before `use`: a look at the trained variable, for constraints that depend on those of others.
    func survey(_ trained: Span<Float>, step: Int)

    /// Before the forward pass of `step`, counted from 0: the tensor's values, `usedCount` floats.
    func use(_ trained: Span<Float>, into used: inout MutableSpan<Float>, step: Int)

    /// After the backward pass: the first `usedCount` floats are the gradient of the used values; all `trainedCount`
    /// become the gradient of the trained variable.
    func pullBack(_ gradient: inout MutableSpan<Float>, trained: Span<Float>)

    /// After the optimizer's step.
    func project(_ trained: inout MutableSpan<Float>)

    /// The last `project` has given the variable new numbers of the constraint's own: averages begin anew.
    var hasBegunAnew: Bool { get }

    /// The tensor's values to export, made of those used.
    func exported(_ used: [Float]) -> [Float]

    /// What `restore` needs to go on from here, beside the trained variable.
    var state: [UInt8] { get }
    /// Throws `EO_INVALID_ARGUMENT` for bytes that are not the state of such a constraint.
    func restore(_ state: [UInt8]) throws(Failure)
}

extension ParameterConstraint {
    package func survey(_ trained: Span<Float>, step: Int) {}
    package var hasBegunAnew: Bool { false }
    package func exported(_ used: [Float]) -> [Float] { used }
}
