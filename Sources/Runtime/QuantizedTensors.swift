import Operators

/// Tensors that a dynamic range layer has quantized in its scratch memory, while a segment is planned: later layers that
/// read them, branches of a block or projections of attention, find them there.
struct QuantizedTensors {
    private var tensors: [Int] = []
    private var forms: [Int] = []
    private var scratches: [Int] = []

    /// How `tensor` is quantized already. A variable may be another one by the time it is read again.
    func forms(of tensor: Int?, _ graph: Graph) -> [Int] {
        guard let tensor, tensor >= 0, !graph.tensors[tensor].isVariable else { return [] }
        return tensors.indices.filter { tensors[$0] == tensor }.map { forms[$0] }
    }

    /// Numbers of the scratch blocks of item `index`, which may share one with an earlier reader of its first input.
    mutating func scratch(
        _ preparation: Preparation, of index: Int, reading tensor: Int?, _ layout: inout Layout
    ) -> [Int] {
        var sizes = preparation.scratchSizes
        let (form, block) = preparation.quantized
        let isThere = block >= 0 && preparation.quantizedBefore.contains(form)
        if isThere { sizes[block] = 0 }
        layout.addScratch(sizes, of: index)
        var numbers = layout.scratch(of: index)
        guard block >= 0, let tensor else { return numbers }
        if isThere, let first = tensors.indices.first(where: { tensors[$0] == tensor && forms[$0] == form }) {
            numbers[block] = scratches[first]
            layout.keepScratch(scratches[first], until: index)
        } else {
            tensors.append(tensor)
            forms.append(form)
            scratches.append(numbers[block])
        }
        return numbers
    }
}
