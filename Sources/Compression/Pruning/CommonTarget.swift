import Model

/// A sparsity that is the target of several tensors together while they are trained. All show their weights (`survey`)
/// before the first asks for its mask. One thread at a time.
package final class CommonTarget {
    private let pattern: SparsityPattern
    private var sparsity = 0.0
    /// Their constraints keep this alive, not the other way round.
    private var members: [(constraint: ObjectIdentifier, matrix: WeightMatrix, weights: [Float])] = []
    /// Of `members`, once the first has asked.
    private var masks: [[Bool]] = []

    package init(_ pattern: SparsityPattern) { self.pattern = pattern }

    func add(_ constraint: PruningConstraint, _ weights: [Float], _ sparsity: Double) {
        if !masks.isEmpty { (members, masks) = ([], []) }
        members.append((ObjectIdentifier(constraint), constraint.matrix, weights))
        self.sparsity = sparsity
    }

    /// nil: the constraint has not shown its weights since the last masks were made.
    func mask(of constraint: PruningConstraint) -> [Bool]? {
        guard let place = members.firstIndex(where: { $0.constraint == ObjectIdentifier(constraint) }) else {
            return nil
        }
        if masks.isEmpty {
            masks = commonMasks(
                members.map { $0.matrix }, members.map { $0.weights }, pattern, sparsity: sparsity)
            for index in members.indices { members[index].weights = [] }
        }
        return masks[place]
    }
}
